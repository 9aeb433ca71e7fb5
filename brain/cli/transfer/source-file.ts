/** The file of an import: read in order in bounded pieces, and watched for changes while it is read. */
import { type FileHandle, open } from "node:fs/promises";
import { AppError } from "@couchestor/common/errors/app-error.ts";

interface Identity {
  sizeBytes: number;
  modifiedNs: bigint;
  inode: bigint;
  device: bigint;
}

const pieceBytes = 1024 * 1024;

export class SourceFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #file: FileHandle;
  readonly #identity: Identity;
  readonly #piece = new Uint8Array(pieceBytes);

  private constructor(path: string, file: FileHandle, identity: Identity) {
    this.path = path;
    this.#file = file;
    this.#identity = identity;
    this.sizeBytes = identity.sizeBytes;
  }

  /** Opens a regular file with at least one byte. Throws `InvalidArgument`, or `NotFound`. */
  static async open(path: string): Promise<SourceFile> {
    const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
      const code = error.code === "ENOENT" ? "NotFound" : "InvalidArgument";
      throw new AppError(code, `--file: ${path} can't be opened: ${reason(error)}`, { cause: error });
    });
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw new AppError("InvalidArgument", `--file: ${path} is not a regular file`);
      if (stat.size === 0)
        throw new AppError("InvalidArgument", `--file: ${path} is empty; a volume has at least one byte`);
      return new SourceFile(path, file, await identityOf(file));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** sha256 (hex) of a range; each piece goes to `alsoInto` too. Throws `Conflict` if the file ends early. */
  async hashRange(offset: number, length: number, alsoInto: Bun.CryptoHasher, signal: AbortSignal): Promise<string> {
    const hasher = new Bun.CryptoHasher("sha256");
    for (let done = 0; done < length; ) {
      signal.throwIfAborted();
      const want = Math.min(pieceBytes, length - done);
      const { bytesRead } = await this.#file.read(this.#piece, 0, want, offset + done);
      if (bytesRead === 0) throw changed(this.path, `it ends at byte ${offset + done}`);
      const piece = this.#piece.subarray(0, bytesRead);
      hasher.update(piece);
      alsoInto.update(piece);
      done += bytesRead;
    }
    return hasher.digest("hex");
  }

  /** The bytes of a range, streamed from the file, never held whole in memory. */
  body(offset: number, length: number): ReadableStream<Uint8Array> {
    return Bun.file(this.path)
      .slice(offset, offset + length)
      .stream();
  }

  /** Throws `Conflict` if the file at this path is not the one that was opened, as it was. */
  async checkUnchanged(): Promise<void> {
    const now = await identityOf(this.#file);
    const before = this.#identity;
    if (now.sizeBytes !== before.sizeBytes)
      throw changed(this.path, `size was ${before.sizeBytes}, is ${now.sizeBytes}`);
    if (now.modifiedNs !== before.modifiedNs) throw changed(this.path, "it was written to");
    const there = await open(this.path, "r").catch(() => undefined);
    if (there === undefined) throw changed(this.path, "it was removed");
    try {
      const named = await identityOf(there);
      if (named.inode !== before.inode || named.device !== before.device) throw changed(this.path, "it was replaced");
    } finally {
      await there.close();
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function identityOf(file: FileHandle): Promise<Identity> {
  const stat = await file.stat({ bigint: true });
  return { sizeBytes: Number(stat.size), modifiedNs: stat.mtimeNs, inode: stat.ino, device: stat.dev };
}

function changed(path: string, how: string): AppError {
  return new AppError(
    "Conflict",
    `${path} changed while it was imported (${how}). The volume is not complete; when the file stands still, run the same command again (delete the volume first if the size changed)`,
    { data: { path, how }, retryable: false },
  );
}

function reason(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "there is no such file";
  if (error.code === "EACCES") return "permission denied";
  return error.code ?? error.message;
}
