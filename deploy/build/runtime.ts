/**
 * The Bun runtime that a binary is made of: this machine's own, or the one of another architecture from the npm registry,
 * checked against the checksum in package-lock.json. No other network is needed to compile for it.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";

export type Arch = "x64" | "arm64";

/** Debian's name of an architecture. */
export const debianArch: Record<Arch, "amd64" | "arm64"> = { x64: "amd64", arm64: "arm64" };

const npmPackage: Record<Arch, string> = { x64: "@oven/bun-linux-x64", arm64: "@oven/bun-linux-aarch64" };

/** Path of the runtime for `arch`, fetched into `{root}/.deps/bun` if it isn't this machine's. */
export async function runtimeFor(arch: Arch, root: string): Promise<string> {
  if (process.platform === "linux" && process.arch === arch) return process.execPath;
  const name = npmPackage[arch];
  const folder = join(root, ".deps/bun", `${arch}-${Bun.version}`);
  const path = join(folder, "package/bin/bun");
  if (existsSync(path)) return path;
  const fresh = `${folder}.tmp`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  const archive = await fetchPackage(`${name}@${Bun.version}`, fresh);
  await checkIntegrity(archive, await lockedIntegrity(root, name), name);
  await run(["tar", "-xzf", archive, "-C", fresh], fresh);
  await rm(archive);
  await rename(fresh, folder);
  return path;
}

/** Lets npm fetch one package into `folder`, with whatever registry this machine uses. Returns the path of its archive. */
async function fetchPackage(specifier: string, folder: string): Promise<string> {
  const output = await run(["npm", "pack", specifier, "--silent", "--pack-destination", folder], folder);
  const file = output.trim().split("\n").at(-1) ?? "";
  return join(folder, file.replace(/^@/, "").replace("/", "-"));
}

async function lockedIntegrity(root: string, name: string): Promise<string> {
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version?: string; integrity?: string }>;
  };
  const entry = lock.packages[`node_modules/${name}`];
  if (entry?.version === Bun.version && entry.integrity !== undefined) return entry.integrity;
  throw new AppError("FailedPrecondition", `package-lock.json has no checksum of ${name} ${Bun.version}`);
}

/** Throws unless the file has the checksum of the lock file (`sha512-…`). */
export async function checkIntegrity(archive: string, integrity: string, name: string): Promise<void> {
  const actual = `sha512-${createHash("sha512")
    .update(await readFile(archive))
    .digest("base64")}`;
  if (actual === integrity) return;
  throw new AppError("FailedPrecondition", `${name}: checksum is ${actual}, package-lock.json says ${integrity}`);
}

/** Runs a program and returns what it printed. Throws with its messages if it fails. */
export async function run(command: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, messages] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) === 0) return output;
  throw new AppError("Unavailable", `${command.join(" ")}: exit ${child.exitCode}: ${messages.trim().slice(-500)}`);
}
