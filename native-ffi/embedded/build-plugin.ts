/**
 * Embeds the native libraries of a target architecture when the program is compiled:
 *
 *     await Bun.build({
 *       entrypoints: ["couchestor.ts"],
 *       compile: { target: "bun-linux-arm64", outfile: "dist/couchestor-linux-arm64" },
 *       plugins: [embedLibraries("arm64", `${root}/.deps`)],
 *     });
 *
 * The libraries are those that `deploy/deps/fetch` unpacked into `.deps/{amd64,arm64}`. Without them the program is built all the same and uses
 * WebAssembly. Only `libraries.ts` is replaced, so running from source needs no build step.
 */
import { existsSync, readFileSync } from "node:fs";
import type { BunPlugin } from "bun";

const sonames: Record<string, string> = { libisal: "libisal.so.2", liblz4: "liblz4.so.1", libaio: "libaio.so.1" };

/** What will be embedded: the files of the architecture that are there, with the versions that `versions.json` records. */
export function embeddable(
  arch: "amd64" | "arm64",
  depsFolder: string,
): { name: string; version: string; file: string }[] {
  const folder = `${depsFolder}/${arch}`;
  if (!existsSync(`${folder}/versions.json`)) return [];
  const versions = JSON.parse(readFileSync(`${folder}/versions.json`, "utf8")) as Record<string, string>;
  return Object.entries(sonames)
    .map(([name, soname]) => ({ name, version: versions[name] ?? "unknown", file: `${folder}/${soname}` }))
    .filter(({ file }) => existsSync(file));
}

/** The plugin for `Bun.build`. `depsFolder` is the absolute path of `.deps`. */
export function embedLibraries(arch: "amd64" | "arm64", depsFolder: string): BunPlugin {
  return {
    name: "embed-native-libraries",
    setup(build) {
      build.onLoad({ filter: /native-ffi\/embedded\/libraries\.ts$/ }, () => {
        const libraries = embeddable(arch, depsFolder);
        const imports = libraries.map(
          ({ file }, i) => `import file${i} from ${JSON.stringify(file)} with { type: "file" };`,
        );
        const entries = libraries.map(
          ({ name, version }, i) =>
            `{ name: ${JSON.stringify(name)}, version: ${JSON.stringify(version)}, path: file${i} }`,
        );
        return {
          loader: "ts",
          contents: `${imports.join("\n")}\nexport const embeddedLibraries = [${entries.join(", ")}];\n`,
        };
      });
    },
  };
}
