/**
 * Compiles the one program for each architecture into `dist/`, with its native libraries embedded, and tells what that adds to the
 * bare runtime: a table for people, then one JSON object on the last line.
 *
 *     bun deploy/build/build.ts [x64|arm64 …]
 */
import { statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { version } from "@couchestor/common/runtime/version.ts";
import { approximateBytes } from "@couchestor/common/units/bytes.ts";
import { embeddable } from "@couchestor/native-ffi/embedded/build-plugin.ts";
import { compile } from "./compile.ts";
import { type Arch, debianArch, run } from "./runtime.ts";

/** What a binary may add to the runtime it is made of. */
const addedBytesMax = 10_000_000;

interface Built {
  arch: Arch;
  file: string;
  runtimeBytes: number;
  binaryBytes: number;
  addedBytes: number;
  /** Names and versions of the native libraries inside; none means that it runs on WebAssembly. */
  embedded: string[];
}

const root = join(import.meta.dir, "../..");

async function build(arch: Arch, commit: string): Promise<Built> {
  const file = join(root, `dist/couchestor-linux-${arch}`);
  const depsFolder = join(root, ".deps");
  const runtime = await compile({ arch, file, depsFolder, commit });
  const [runtimeBytes, binaryBytes] = [statSync(runtime).size, statSync(file).size];
  const embedded = embeddable(debianArch[arch], depsFolder).map((library) => `${library.name} ${library.version}`);
  return { arch, file, runtimeBytes, binaryBytes, addedBytes: binaryBytes - runtimeBytes, embedded };
}

async function currentCommit(): Promise<string> {
  const commit = (await run(["git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD"], root)).trim();
  const changed =
    (await run(["git", "-c", "safe.directory=*", "status", "--porcelain", "--untracked-files=no"], root)).trim() !== "";
  return changed ? `${commit}-changed` : commit;
}

function table(built: readonly Built[]): string {
  const row = (...cells: string[]) => cells.map((cell, i) => (i === 0 ? cell.padEnd(28) : cell.padStart(12))).join(" ");
  const rows = built.map((b) =>
    row(b.file.slice(root.length + 1), ...[b.runtimeBytes, b.binaryBytes, b.addedBytes].map(approximateBytes)),
  );
  const inside = built.map(
    (b) => `${b.arch}: ${b.embedded.length === 0 ? "no native library" : b.embedded.join(", ")}`,
  );
  return [row("file", "bare runtime", "binary", "we add"), ...rows, `embedded: ${inside.join("; ")}`].join("\n");
}

async function main(argv: readonly string[]): Promise<number> {
  const arches = (argv.length === 0 ? ["x64", "arm64"] : argv) as Arch[];
  const wrong = arches.find((arch) => !(arch in debianArch));
  if (wrong !== undefined) {
    process.stderr.write(`build: got ${JSON.stringify(wrong)}, allowed is x64 or arm64\n`);
    return 2;
  }
  await mkdir(join(root, "dist"), { recursive: true });
  const commit = await currentCommit();
  const built: Built[] = [];
  for (const arch of arches) built.push(await build(arch, commit));
  process.stdout.write(`${table(built)}\n`);
  const binaries = built.map((b) => ({ ...b, file: b.file.slice(root.length + 1) }));
  process.stdout.write(`${JSON.stringify({ version, commit, addedBytesMax, binaries })}\n`);
  const tooBig = built.filter((b) => b.addedBytes > addedBytesMax);
  for (const b of tooBig)
    process.stderr.write(`build: ${b.file} adds ${b.addedBytes} bytes, at most ${addedBytesMax}\n`);
  return tooBig.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
