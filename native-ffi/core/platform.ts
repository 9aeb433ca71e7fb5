/** The machine this process runs on, as far as native code cares. */

export interface Platform {
  /** Debian's name of the architecture: the folder under `.deps`. */
  readonly debian: "amd64" | "arm64";
  /** The multiarch folder of its libraries. */
  readonly multiarch: string;
  /** O_DIRECT differs between the two. */
  readonly openDirectFlag: number;
}

const platforms: Partial<Record<string, Platform>> = {
  x64: { debian: "amd64", multiarch: "x86_64-linux-gnu", openDirectFlag: 0o40000 },
  arm64: { debian: "arm64", multiarch: "aarch64-linux-gnu", openDirectFlag: 0o200000 },
};

/** Undefined where native libraries are not supported: any other architecture or operating system. */
export function currentPlatform(): Platform | undefined {
  return process.platform === "linux" ? platforms[process.arch] : undefined;
}

/** Where a distribution keeps shared libraries, most specific first. All absolute: a bare name would also be looked for in the working folder. */
export function libraryFolders(platform: Platform): string[] {
  return [
    `/usr/local/lib/${platform.multiarch}`,
    "/usr/local/lib",
    `/usr/lib/${platform.multiarch}`,
    `/lib/${platform.multiarch}`,
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
  ];
}

/** Whether this is the compiled program, whose modules live in Bun's embedded file system. */
export function isCompiled(): boolean {
  return import.meta.path.startsWith("/$bunfs/");
}
