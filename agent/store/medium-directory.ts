/**
 * A pool in a directory: `superblock.0` and `.1`, `segments/<12 hex digits>.seg`, `index.snapshot`, `LOCK`.
 * A name is trusted only after its folder was synced, and at every start both folders are synced before anything is acknowledged: the
 * process before may have been killed between making a name and syncing it.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type FileHandle, type FileSystem, FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { segmentBytesMax } from "./chunk-index.ts";
import { HandleCache } from "./handle-cache.ts";
import type { Medium, SnapshotPlace } from "./medium.ts";
import { segmentHeaderBytes } from "./segment-format.ts";
import { encodeSuperblock, newestSuperblock, type Superblock, superblockBytes } from "./superblock.ts";

const copies = ["superblock.0", "superblock.1"] as const;
const segmentName = /^[0-9a-f]{12}\.seg$/;
/** What a folder may hold and still be taken for a pool: our own first steps, cut short, and what mkfs leaves. */
const harmlessNames: ReadonlySet<string> = new Set([
  "LOCK",
  "segments",
  "lost+found",
  ...copies.map((name) => `${name}.new`),
]);

export interface DirectoryMediumOptions {
  fileSystem: FileSystem;
  checksum: Checksum;
  path: string;
  /** The superblock of a pool made anew. */
  fresh: () => Superblock;
}

/** Opens the pool in a directory, or makes one if the directory is empty or absent. Refuses a directory with other content. */
export async function openDirectoryMedium(options: DirectoryMediumOptions): Promise<Medium> {
  const { fileSystem, path, checksum } = options;
  const read = await readSuperblocks(options);
  let superblock: Superblock;
  if (read.newest) {
    superblock = read.newest;
    if (!(await fileSystem.exists(`${path}/segments`)))
      throw new AppError(
        "Unavailable",
        `pool ${path}: the folder "segments" is gone; restore it, or remove the superblocks to start an empty pool`,
      );
  } else {
    await refuseForeignContent(options, read.damaged);
    await fileSystem.makeDirectory(`${path}/segments`);
    await syncParents(fileSystem, path);
    await fileSystem.syncDirectory(path);
    superblock = options.fresh();
  }
  for (const [copy, intact] of read.intact.entries()) {
    if (!intact) await writeCopy(options, copy, encodeSuperblock(superblock, checksum));
  }
  await fileSystem.syncDirectory(path);
  // The process before may have been killed between removing a segment and syncing that.
  if (read.newest) await fileSystem.syncDirectory(`${path}/segments`);
  return new DirectoryMedium(options, superblock);
}

async function readSuperblocks(
  options: DirectoryMediumOptions,
): Promise<{ newest: Superblock | undefined; intact: boolean[]; damaged: boolean }> {
  const bytes: (Uint8Array | undefined)[] = [];
  for (const name of copies) bytes.push(await readWhole(options.fileSystem, `${options.path}/${name}`));
  const newest = newestSuperblock(bytes, options.checksum);
  const intact = bytes.map((copy) => newestSuperblock([copy], options.checksum) !== undefined);
  return { newest: newest?.superblock, intact, damaged: bytes.some((copy) => copy !== undefined) };
}

async function readWhole(fileSystem: FileSystem, path: string): Promise<Uint8Array | undefined> {
  if (!(await fileSystem.exists(path))) return undefined;
  const file = await fileSystem.open(path, "read");
  try {
    const bytes = new Uint8Array(superblockBytes);
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

async function refuseForeignContent({ fileSystem, path }: DirectoryMediumOptions, damaged: boolean): Promise<void> {
  if (damaged)
    throw new AppError("Unavailable", `pool ${path}: both copies of the superblock are damaged; nothing was changed`);
  if (!(await fileSystem.exists(path))) return;
  const foreign = (await fileSystem.list(path)).filter((name) => !harmlessNames.has(name));
  const segments = (await fileSystem.exists(`${path}/segments`)) ? await fileSystem.list(`${path}/segments`) : [];
  if (foreign.length === 0 && segments.length === 0) return;
  const shown = [...foreign, ...segments.map((name) => `segments/${name}`)].slice(0, 3).join(", ");
  throw new AppError(
    "FailedPrecondition",
    `pool ${path}: the directory is not empty and has no superblock (found ${shown}); give an empty directory`,
    { data: { field: "path", got: path, found: shown } },
  );
}

/** Makes the names of the directory and of its parents durable. A parent that this user may not open was there before. */
async function syncParents(fileSystem: FileSystem, path: string): Promise<void> {
  const root = path.startsWith("/") ? "/" : "./";
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  for (let depth = parts.length - 1; depth >= 0; depth--) {
    const parent = root + parts.slice(0, depth).join("/");
    try {
      await fileSystem.syncDirectory(parent);
    } catch (error) {
      if (!(error instanceof FileSystemError && (error.code === "EACCES" || error.code === "EPERM"))) throw error;
    }
  }
}

/** Writes one copy beside its place, syncs it and renames it. The caller syncs the folder. */
async function writeCopy({ fileSystem, path }: DirectoryMediumOptions, copy: number, bytes: Uint8Array): Promise<void> {
  const name = `${path}/${copies[copy]}`;
  await replaceFile(fileSystem, name, (file) => file.write([bytes], 0));
}

async function replaceFile(
  fileSystem: FileSystem,
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const fresh = `${path}.new`;
  if (await fileSystem.exists(fresh)) await fileSystem.remove(fresh);
  const file = await fileSystem.open(fresh, "create-exclusive");
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
  await fileSystem.rename(fresh, path);
}

class DirectoryMedium implements Medium {
  readonly kind = "directory";
  readonly segmentBytes: number;
  readonly recordBytesMax = segmentBytesMax - segmentHeaderBytes;
  readonly snapshots: SnapshotPlace;
  superblock: Superblock;
  readonly #options: DirectoryMediumOptions;
  readonly #files: HandleCache;

  constructor(options: DirectoryMediumOptions, superblock: Superblock) {
    this.#options = options;
    this.superblock = superblock;
    this.segmentBytes = superblock.segmentBytes;
    const { fileSystem, path } = options;
    this.#files = new HandleCache((segmentId) => fileSystem.open(this.#path(segmentId), "read-write"));
    this.snapshots = {
      open: async () => {
        const name = `${path}/index.snapshot`;
        return (await fileSystem.exists(name)) ? fileSystem.open(name, "read") : undefined;
      },
      replace: async (write) => {
        await replaceFile(fileSystem, `${path}/index.snapshot`, write);
        await fileSystem.syncDirectory(path);
      },
    };
  }

  #path(segmentId: number): string {
    return `${this.#options.path}/segments/${segmentId.toString(16).padStart(12, "0")}.seg`;
  }

  async writeSuperblock(superblock: Superblock): Promise<void> {
    const next = { ...superblock, writeNo: this.superblock.writeNo + 1 };
    const bytes = encodeSuperblock(next, this.#options.checksum);
    // One after the other: whichever step is cut short, one whole copy is there.
    for (const copy of copies.keys()) {
      await writeCopy(this.#options, copy, bytes);
      await this.#options.fileSystem.syncDirectory(this.#options.path);
    }
    this.superblock = next;
  }

  async segments(): Promise<number[]> {
    const names = await this.#options.fileSystem.list(`${this.#options.path}/segments`);
    return names.filter((name) => segmentName.test(name)).map((name) => Number.parseInt(name, 16));
  }

  async create(segmentId: number, header: Uint8Array): Promise<void> {
    const { fileSystem, path } = this.#options;
    const file = await fileSystem.open(this.#path(segmentId), "create-exclusive");
    this.#files.adopt(segmentId, file);
    await file.write([header], 0);
    await fileSystem.syncDirectory(`${path}/segments`);
  }

  async remove(segmentId: number): Promise<void> {
    const { fileSystem, path } = this.#options;
    await this.#files.drop(segmentId);
    await fileSystem.remove(this.#path(segmentId));
    await fileSystem.syncDirectory(`${path}/segments`);
  }

  read(segmentId: number, into: Uint8Array, offset: number): Promise<number> {
    return this.#files.use(segmentId, (file) => file.read(into, offset));
  }

  write(segmentId: number, buffers: readonly Uint8Array[], offset: number): Promise<void> {
    return this.#files.use(segmentId, (file) => file.write(buffers, offset));
  }

  sync(segmentId: number): Promise<void> {
    return this.#files.use(segmentId, (file) => file.sync());
  }

  truncate(segmentId: number, offset: number): Promise<void> {
    return this.#files.use(segmentId, (file) => file.truncate(offset));
  }

  sizeBytes(segmentId: number): Promise<number> {
    return this.#files.use(segmentId, (file) => file.size());
  }

  dropCache(segmentId: number): Promise<void> {
    return this.#files.use(segmentId, (file) => file.dropCache());
  }

  async checkPresent(segmentId: number | undefined): Promise<void> {
    const path = segmentId === undefined ? `${this.#options.path}/${copies[0]}` : this.#path(segmentId);
    if (!(await this.#options.fileSystem.exists(path))) throw new FileSystemError("ENOENT", "check", path);
  }

  space(): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.#options.fileSystem.space(this.#options.path);
  }

  close(): Promise<void> {
    return this.#files.closeAll();
  }
}
