/** The file of an export: written under another name, made durable, and only then given its own, so that it is whole or not there. */
import { access, type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";

export class TargetFile {
  readonly path: string;
  readonly #temporary: string;
  readonly #file: FileHandle;

  private constructor(path: string, temporary: string, file: FileHandle) {
    this.path = path;
    this.#temporary = temporary;
    this.#file = file;
  }

  /** Throws `AlreadyExists` if something is there and `overwrite` was not asked for. */
  static async create(path: string, overwrite: boolean): Promise<TargetFile> {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there && !overwrite)
      throw new AppError("AlreadyExists", `--file: ${path} exists; give --overwrite to replace it`);
    const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
    const file = await open(temporary, "w").catch((error: NodeJS.ErrnoException) => {
      throw new AppError("InvalidArgument", `--file: ${path} can't be written: ${error.code}`, { cause: error });
    });
    return new TargetFile(path, temporary, file);
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file
        .write(bytes, done, bytes.length - done, offset + done)
        .catch(writeFailed);
      done += bytesWritten;
    }
  }

  /** Data durable, then the name, then the folder. */
  async commit(): Promise<void> {
    await this.#file.sync();
    await this.#file.close();
    await rename(this.#temporary, this.path);
    const folder = await open(dirname(this.path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await rm(this.#temporary, { force: true });
  }
}

function writeFailed(error: NodeJS.ErrnoException): never {
  if (error.code === "ENOSPC" || error.code === "EDQUOT") {
    throw new AppError("NoSpace", "the disk of the output file is full", { cause: error });
  }
  throw new AppError("Internal", `the output file can't be written: ${error.code}`, { cause: error });
}
