/**
 * Compiles the one program for one architecture.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { embedLibraries } from "@couchestor/native-ffi/embedded/build-plugin.ts";
import { type Arch, debianArch, runtimeFor } from "./runtime.ts";

export interface CompileOptions {
  arch: Arch;
  /** Where the binary goes. */
  file: string;
  /** Folder with the native libraries to embed; undefined embeds none. */
  depsFolder: string | undefined;
  /** What `couchestor version` will name. */
  commit: string;
}

const root = join(import.meta.dir, "../..");

/** Returns the path of the runtime the binary is made of. Throws with the compiler's messages. */
export async function compile(options: CompileOptions): Promise<string> {
  const { arch, file, depsFolder, commit } = options;
  const runtime = await runtimeFor(arch, root);
  await rm(file, { force: true });
  const result = await Bun.build({
    entrypoints: [join(root, "couchestor.ts"), ...(await workerEntries())],
    target: "bun",
    minify: { syntax: true, whitespace: true, identifiers: false },
    define: { COUCHESTOR_COMMIT: JSON.stringify(commit) },
    plugins: depsFolder === undefined ? [] : [embedLibraries(debianArch[arch], depsFolder)],
    compile: {
      target: `bun-linux-${arch}`,
      executablePath: runtime,
      outfile: file,
      // The program reads only what its flags name, never files that happen to lie in the current folder.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
    throw: false,
  });
  if (!result.success) throw new AggregateError(result.logs, result.logs.map(String).join("\n"));
  return runtime;
}

/** Workers are programs of their own, which the compiler must be told of. */
async function workerEntries(): Promise<string[]> {
  const found = new Bun.Glob("{agent,native-ffi,brain}/**/*worker.ts").scan({ cwd: root, absolute: true });
  return (await Array.fromAsync(found)).filter((path) => !path.includes("node_modules")).toSorted();
}
