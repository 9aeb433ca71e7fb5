/**
 * The file system as a port: the few calls that durable code needs, each with its durability spelled out.
 * What was written is durable only after `sync`; a name is durable only after `syncDirectory` of its folder.
 * The simulated one (`common/testing/sim-file-system.ts`) drops and reorders everything that was not synced.
 */

export interface FileHandle {
  /** Reads up to `into.byteLength` bytes at `offset`; returns how many were read (fewer only at the end of the file). */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Writes all buffers, one behind the other, at `offset`; throws a `FileSystemError` if not all were written. */
  write(buffers: readonly Uint8Array[], offset: number): Promise<void>;
  /** fdatasync: all data written so far, and the size needed to read it back, are durable on return. */
  sync(): Promise<void>;
  /** Sets the length; what is beyond is gone, what is new reads as zeros. */
  truncate(lengthBytes: number): Promise<void>;
  /** The length in bytes. */
  size(): Promise<number>;
  /** Asks the kernel to forget cached pages, so that the next read comes from the medium. A hint: may do nothing. */
  dropCache(): Promise<void>;
  close(): Promise<void>;
}

export type OpenMode = "read" | "read-write" | "create-exclusive";

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<FileHandle>;
  /** Names in a folder, sorted. */
  list(directory: string): Promise<string[]>;
  /** Creates a folder and its missing parents. Durable only after `syncDirectory` of each parent. */
  makeDirectory(path: string): Promise<void>;
  /** Atomically replaces `to`. Durable only after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** fsync of a folder: the names in it are durable on return. */
  syncDirectory(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Space of the file system that holds `path`, in bytes. */
  space(path: string): Promise<{ totalBytes: number; freeBytes: number }>;
  /** Takes an exclusive lock that dies with the process (flock). Throws a `FileSystemError` with code EWOULDBLOCK if another holds it. */
  lock(path: string): Promise<{ release(): Promise<void> }>;
}

/** A failed call with the operating system's code: ENOSPC, EIO, EROFS, ENOENT, EWOULDBLOCK … */
export class FileSystemError extends Error {
  override readonly name = "FileSystemError";
  readonly code: string;
  readonly operation: string;
  readonly path: string;

  constructor(code: string, operation: string, path: string, options?: { cause?: unknown }) {
    super(`${operation} ${path}: ${code}`, options);
    this.code = code;
    this.operation = operation;
    this.path = path;
  }
}
