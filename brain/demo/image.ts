/** The file that the demo imports: an ext4 image made here and filled with real files, without root. */
import { createCipheriv } from "node:crypto";
import { access, constants, copyFile, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { basename, delimiter, dirname, join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { sizeText } from "../cli/text.ts";

export interface DemoFile {
  path: string;
  /** For the person: what it is. */
  what: string;
}

export interface ImageOptions {
  /** Where the image and the folder it is filled from go. */
  dir: string;
  sizeBytes: number;
  /** The command line of this program: its own files are part of the content. */
  program: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
}

export const imageBytesMin = 12 * 1024 * 1024;
const sourceFilesMax = 3000;
const pieceBytes = 1024 * 1024;

/** Makes the image; where there is no mkfs.ext4, takes a real file of this machine instead and says so. */
export async function makeDemoFile(options: ImageOptions): Promise<DemoFile> {
  const mkfs = await findMkfs(options);
  if (mkfs === undefined) return otherRealFile(options);
  const staging = join(options.dir, "files");
  await mkdir(staging, { recursive: true });
  const filledBytes = await fill(staging, contentBytes(options.sizeBytes), options);
  const path = join(options.dir, "image.ext4");
  await run(
    [
      mkfs,
      "-q",
      "-F",
      "-b",
      "4096",
      "-m",
      "0",
      "-O",
      "^resize_inode",
      "-i",
      "16384",
      "-J",
      "size=4",
      "-L",
      "demo",
      "-d",
      staging,
      path,
      `${Math.floor(options.sizeBytes / 4096)}`,
    ],
    options.signal,
  );
  await rm(staging, { recursive: true, force: true });
  return { path, what: `ext4 image, ${sizeText(filledBytes)} of files in it` };
}

/** Nearly all of it: the rest is for the journal (4 MiB), inodes and the blocks that files don't fill. */
function contentBytes(imageBytes: number): number {
  return Math.floor(imageBytes * 0.9) - 6 * 1024 * 1024;
}

async function findMkfs(options: ImageOptions): Promise<string | undefined> {
  const root = dirname(options.program.at(-1) ?? ".");
  const folders = [join(root, ".deps/host/bin"), ...(options.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  for (const folder of folders.filter((f) => f !== "")) {
    const path = join(folder, "mkfs.ext4");
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}

/** The runtime itself: about 100 MB that compress badly and repeat little. */
async function otherRealFile(options: ImageOptions): Promise<DemoFile> {
  const source = options.program[0] ?? process.execPath;
  const path = join(options.dir, basename(source));
  await copyFile(source, path);
  return { path, what: `a copy of ${basename(source)}, as there is no mkfs.ext4 here to make an image with` };
}

/** A fifth files of this program, a third its runtime, a fifth text, the rest noise. Returns how much. */
async function fill(staging: string, bytes: number, options: ImageOptions): Promise<number> {
  const root = dirname(options.program.at(-1) ?? ".");
  let done =
    options.program.length > 1 ? await copyTree(root, join(staging, "program"), Math.floor(bytes * 0.2), options) : 0;
  done += await copyHead(
    options.program[0] ?? process.execPath,
    join(staging, "runtime"),
    Math.floor(bytes * 0.33),
    options.signal,
  );
  done += await writePieces(join(staging, "log.txt"), Math.floor(bytes * 0.2), textPiece(), options.signal);
  done += await writePieces(join(staging, "noise.bin"), bytes - done, noisePiece(), options.signal);
  return done;
}

/** Source files below `root`, breadth first, up to `bytesMax` rounded up to blocks. */
async function copyTree(root: string, to: string, bytesMax: number, options: ImageOptions): Promise<number> {
  await mkdir(to, { recursive: true });
  const folders = [root];
  let bytes = 0;
  let count = 0;
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
      options.signal.throwIfAborted();
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !entry.name.startsWith(".") && entry.name !== "dist") folders.push(path);
      if (!entry.isFile() || entry.name.startsWith(".")) continue;
      const { size } = await stat(path);
      const blocks = Math.ceil(size / 4096) * 4096;
      if (count >= sourceFilesMax) return bytes;
      if (bytes + blocks > bytesMax) continue;
      await copyFile(path, join(to, `${String(count++).padStart(4, "0")}-${entry.name}`));
      bytes += blocks;
    }
  }
  return bytes;
}

async function copyHead(from: string, to: string, bytesMax: number, signal: AbortSignal): Promise<number> {
  const source = await open(from, "r");
  try {
    const bytes = Math.min((await source.stat()).size, bytesMax);
    const buffer = Buffer.alloc(pieceBytes);
    let at = 0;
    const next = async (length: number): Promise<Uint8Array> => {
      const { bytesRead } = await source.read(buffer, 0, length, at);
      at += bytesRead;
      return buffer.subarray(0, bytesRead);
    };
    return await writePieces(to, bytes, next, signal);
  } finally {
    await source.close();
  }
}

type Piece = (length: number) => Uint8Array | Promise<Uint8Array>;

async function writePieces(path: string, bytes: number, piece: Piece, signal: AbortSignal): Promise<number> {
  const file = await open(path, "w");
  try {
    for (let done = 0; done < bytes; done += pieceBytes) {
      signal.throwIfAborted();
      await file.write(await piece(Math.min(pieceBytes, bytes - done)));
    }
  } finally {
    await file.close();
  }
  return bytes;
}

/** Bytes without a pattern, the same on every run: a key stream of AES with a fixed key. */
function noisePiece(): (length: number) => Uint8Array {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 0x43), Buffer.alloc(16));
  return (length) => cipher.update(new Uint8Array(length));
}

/** Lines as a log has them, all different. */
function textPiece(): (length: number) => Uint8Array {
  let line = 0;
  let rest = "";
  return (length) => {
    const lines = [rest];
    for (let size = rest.length; size < length; line++) {
      const text = `${String(line).padStart(10, "0")} node-${line % 6} shard=${(line * 7) % 6} stripe=${(line * 2654435761) % 4294967296} read ok\n`;
      lines.push(text);
      size += text.length;
    }
    const all = lines.join("");
    rest = all.slice(length);
    return Buffer.from(all.slice(0, length), "latin1");
  };
}

async function run(command: string[], signal: AbortSignal): Promise<void> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe", signal });
  const [code, errors] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  signal.throwIfAborted();
  if (code === 0) return;
  throw new AppError("Internal", `${basename(command[0] ?? "")} failed (${code}): ${errors.trim().slice(-500)}`);
}
