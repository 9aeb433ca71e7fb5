/** Opens the pool of a path: a directory or a block device, whichever is there. */
import { readdir, realpath, stat } from "node:fs/promises";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { FileSystem } from "@couchestor/common/runtime/file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { Log } from "../ports.ts";
import { openChunkStore } from "../store/chunk-store.ts";
import type { BlockDevice } from "../store/medium.ts";
import type { MediumSpec, PoolChunkStore } from "../store/pool-chunk-store.ts";
import type { ZonedDevice } from "../store/zoned-device.ts";
import type { PoolSpec } from "./pool-spec.ts";

export interface OpenPoolParts {
  nodeName: string;
  fileSystem: FileSystem;
  clock: Clock;
  prng: Prng;
  checksum: Checksum;
  log: Log;
  /** Opens a block device past the page cache. */
  openDevice(path: string): Promise<DirectDevice>;
  /** Devices that are written in zones, from front to back. Absent: none are looked for. */
  zoned?: {
    isZoned(path: string): Promise<boolean>;
    open(path: string): Promise<ZonedDevice>;
  };
  /** Namespaces driven past the kernel. Absent: there is no driver for them. */
  userSpace?: UserSpaceMedia | undefined;
  /** Finds the claimed device of a pool, whose path is `device:ID`. */
  claimedDevice?(wanted: {
    path: string;
    poolName: string;
    nodeName: string;
  }): Promise<{ path: string; poolUuid: string }>;
}

/**
 * Opens the namespace that `path` names past the kernel, as what its kind asks for. `release` lets go of what opening it took, once the pool is open
 * or has failed to.
 */
export type UserSpaceMedia = (path: string) => Promise<{ medium: MediumSpec; release(): Promise<void> }>;

/** How the path of a pool names a namespace that the agent drives itself. */
export const userSpacePrefix = "spdk:";

/** How the path of a pool names a claimed device by its id. */
export const devicePrefix = "device:";

/** A block device whose reads may come short at its end. */
export interface DirectDevice {
  readonly sizeBytes: number;
  read(into: Uint8Array, offset: number): Promise<number>;
  write(buffers: readonly Uint8Array[], offset: number): Promise<void>;
  sync(): Promise<void>;
  /** Throws ENODEV if the device is gone. */
  checkPresent?(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a pool; `mayCreate` allows to make one where nothing is. Throws an `AppError` that says why it can't. */
export type PoolOpener = (spec: PoolSpec, mayCreate: boolean) => Promise<PoolChunkStore>;

export function poolOpener(parts: OpenPoolParts): PoolOpener {
  return async (spec, mayCreate) => {
    if (spec.path.startsWith(userSpacePrefix)) return await openUserSpace(spec, parts);
    const claimed = spec.path.startsWith(devicePrefix) ? await claimedFor(spec, parts) : undefined;
    const medium = await mediumOf(claimed === undefined ? spec : { ...spec, path: claimed.path }, mayCreate, parts);
    const store = await openStore(spec, medium, parts);
    if (claimed === undefined || claimed.poolUuid === store.poolUuid) return store;
    await store.close();
    throw new AppError(
      "Unavailable",
      `pool ${spec.poolName}: ${claimed.path} became another device while it was opened`,
    );
  };
}

function openStore({ poolName, labels }: PoolSpec, medium: MediumSpec, parts: OpenPoolParts): Promise<PoolChunkStore> {
  const log = {
    info: (message: string, data: Record<string, unknown>) => parts.log.info(data, message),
    warn: (message: string, data: Record<string, unknown>) => parts.log.warn(data, message),
  };
  return openChunkStore({ ...parts, medium, poolName, labels, log });
}

async function openUserSpace(spec: PoolSpec, parts: OpenPoolParts): Promise<PoolChunkStore> {
  const { poolName, path } = spec;
  if (parts.userSpace === undefined) {
    throw new AppError(
      "FailedPrecondition",
      `pool ${poolName}: ${path} needs a driver in user space: give --io-engine spdk`,
    );
  }
  try {
    const { medium, release } = await parts.userSpace(path.slice(userSpacePrefix.length));
    try {
      return await openStore(spec, medium, parts);
    } finally {
      await release();
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new AppError("Unavailable", `pool ${poolName} at ${path}: ${why}`, { cause: error });
  }
}

async function claimedFor({ path, poolName }: PoolSpec, { claimedDevice, nodeName }: OpenPoolParts) {
  if (claimedDevice !== undefined) return await claimedDevice({ path, poolName, nodeName });
  throw new AppError("FailedPrecondition", `pool ${poolName}: this agent can't look for devices`);
}

async function mediumOf(
  spec: PoolSpec,
  mayCreate: boolean,
  { openDevice, zoned }: Pick<OpenPoolParts, "openDevice" | "zoned">,
): Promise<MediumSpec> {
  const { path, poolName } = spec;
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new AppError("Unavailable", `pool ${poolName}: ${path} can't be looked at: ${error.code}`, { cause: error });
  });
  if (found?.isBlockDevice()) {
    // By-id names are links, and what they point at changes from one opening to the next.
    const device = await realpath(path);
    if (zoned !== undefined && (await zoned.isZoned(device)))
      return { kind: "zoned", path: device, open: () => zoned.open(device) };
    return { kind: "block", path: device, open: async () => wholeReads(device, await openDevice(device)) };
  }
  if (found === undefined && path.startsWith("/dev/")) {
    throw new AppError("Unavailable", `pool ${poolName}: there is no device ${path}; it is opened when it appears`);
  }
  if (found !== undefined && !found.isDirectory()) {
    throw new AppError("FailedPrecondition", `pool ${poolName}: ${path} is neither a directory nor a block device`);
  }
  if (!mayCreate && (found === undefined || (await isEmpty(path)))) {
    const what = found === undefined ? "is gone" : "is empty";
    throw new AppError(
      "Unavailable",
      `pool ${poolName}: ${path} ${what}, but held a pool before: mount its disk again. To begin a new pool there, give it another name`,
    );
  }
  return { kind: "directory", path };
}

/** `lost+found` is what mkfs leaves, and LOCK what an earlier attempt did. */
async function isEmpty(path: string): Promise<boolean> {
  const names = await readdir(path);
  return names.every((name) => name === "lost+found" || name === "LOCK");
}

/** A block device out of one whose reads may come short: here that is an error. */
export function wholeReads(path: string, file: DirectDevice): BlockDevice {
  return {
    sizeBytes: file.sizeBytes,
    read: async (into, offset) => {
      const got = await file.read(into, offset);
      if (got < into.byteLength)
        throw new AppError("Unavailable", `${path}: read ${got} of ${into.byteLength} bytes at ${offset}`);
    },
    write: (buffers, offset) => file.write(buffers, offset),
    sync: () => file.sync(),
    checkPresent: async () => file.checkPresent?.(),
    close: () => file.close(),
  };
}
