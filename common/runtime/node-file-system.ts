/**
 * The machine's own file system behind the `FileSystem` port. All calls run on the runtime's thread pool; none blocks the event loop.
 * flock and posix_fadvise are not in Node's API and come in as functions; without them:
 *  - `lock` binds an abstract unix socket named by the lock file's device and inode. It dies with the process and leaves nothing behind, but
 *    it is seen only within one network namespace: two containers with namespaces of their own that share a disk need flock.
 *  - `dropCache` does nothing.
 */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { type FileHandle, type FileSystem, FileSystemError, type OpenMode } from "./file-system.ts";

export interface NodeFileSystemOptions {
  /** flock(fd, LOCK_EX | LOCK_NB): false if another holds it. Throws on any other failure. */
  flock?: (fd: number) => boolean;
  /** posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED). */
  dropCache?: (fd: number) => void;
}

/** The most buffers that one writev takes (IOV_MAX on Linux). */
const buffersPerWriteMax = 1024;

const openFlags: Record<OpenMode, number> = {
  read: constants.O_RDONLY,
  "read-write": constants.O_RDWR,
  "create-exclusive": constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
};

async function checked<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    if (cause instanceof FileSystemError) throw cause;
    const code = (cause as { code?: unknown }).code;
    throw new FileSystemError(typeof code === "string" ? code : "EUNKNOWN", operation, path, { cause });
  }
}

class NodeFileHandle implements FileHandle {
  readonly #handle: fs.FileHandle;
  readonly #path: string;
  readonly #options: NodeFileSystemOptions;

  constructor(handle: fs.FileHandle, path: string, options: NodeFileSystemOptions) {
    this.#handle = handle;
    this.#path = path;
    this.#options = options;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return checked("read", this.#path, async () => {
      let done = 0;
      while (done < into.byteLength) {
        const { bytesRead } = await this.#handle.read(into, done, into.byteLength - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  write(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    return checked("write", this.#path, async () => {
      let left = buffers.filter((buffer) => buffer.byteLength > 0);
      let at = offset;
      while (left.length > 0) {
        const batch = left.slice(0, buffersPerWriteMax);
        const { bytesWritten } = await this.#handle.writev(batch, at);
        if (bytesWritten === 0) throw new FileSystemError("EIO", "write", this.#path);
        at += bytesWritten;
        left = behind(left, bytesWritten);
      }
    });
  }

  sync(): Promise<void> {
    return checked("sync", this.#path, () => this.#handle.datasync());
  }

  truncate(lengthBytes: number): Promise<void> {
    return checked("truncate", this.#path, () => this.#handle.truncate(lengthBytes));
  }

  size(): Promise<number> {
    return checked("size", this.#path, async () => (await this.#handle.stat()).size);
  }

  dropCache(): Promise<void> {
    return checked("drop-cache", this.#path, async () => this.#options.dropCache?.(this.#handle.fd));
  }

  close(): Promise<void> {
    return checked("close", this.#path, () => this.#handle.close());
  }
}

/** What is left of `buffers` when the first `count` bytes are written. */
function behind(buffers: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  let first = 0;
  while (first < buffers.length && skip >= (buffers[first]?.byteLength ?? 0)) skip -= buffers[first++]?.byteLength ?? 0;
  const left = buffers.slice(first);
  if (skip > 0 && left[0]) left[0] = left[0].subarray(skip);
  return left;
}

/** The real file system. Safe for use by many callers at once. Errors are `FileSystemError`. */
export function nodeFileSystem(options: NodeFileSystemOptions = {}): FileSystem {
  return {
    open: (path, mode) =>
      checked("open", path, async () => {
        const flags = openFlags[mode] | constants.O_NOFOLLOW;
        return new NodeFileHandle(await fs.open(path, flags, 0o600), path, options);
      }),
    list: (directory) => checked("list", directory, async () => (await fs.readdir(directory)).sort()),
    makeDirectory: (path) =>
      checked("make-directory", path, async () => {
        await fs.mkdir(path, { recursive: true, mode: 0o700 });
      }),
    rename: (from, to) => checked("rename", from, () => fs.rename(from, to)),
    remove: (path) => checked("remove", path, () => fs.unlink(path)),
    syncDirectory: (path) => checked("sync-directory", path, () => syncDirectory(path)),
    exists: (path) => checked("exists", path, () => exists(path)),
    space: (path) =>
      checked("space", path, async () => {
        const stat = await fs.statfs(path);
        return { totalBytes: stat.blocks * stat.bsize, freeBytes: stat.bavail * stat.bsize };
      }),
    lock: (path) => checked("lock", path, () => lock(path, options)),
  };
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await fs.lstat(path);
    return true;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

async function lock(path: string, options: NodeFileSystemOptions): Promise<{ release(): Promise<void> }> {
  const handle = await fs.open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    if (!options.flock) {
      const { dev, ino } = await handle.stat();
      const release = await lockBySocket(`\0couchestor-lock-${dev}-${ino}`, path);
      // Kept open, so that the inode number cannot pass to another file while the lock is held.
      return { release: () => release().finally(() => handle.close()) };
    }
    if (!options.flock(handle.fd)) throw new FileSystemError("EWOULDBLOCK", "lock", path);
    return { release: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function lockBySocket(name: string, path: string): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: Error & { code?: string }) => {
      const code = error.code === "EADDRINUSE" ? "EWOULDBLOCK" : (error.code ?? "EUNKNOWN");
      reject(new FileSystemError(code, "lock", path, { cause: error }));
    });
    server.listen({ path: name }, () => {
      server.unref();
      resolve(() => new Promise((done) => server.close(() => done())));
    });
  });
}
