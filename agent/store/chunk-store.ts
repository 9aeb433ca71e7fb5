/**
 * The chunk store of one pool: an append-only log of self-describing records, an index of them in memory, and the rule that nothing is
 * answered before it is durable and read back. The write path with its crash points: `commit-queue.ts`; the way back: `recovery.ts`.
 */
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { LogChunkStore } from "./log-chunk-store.ts";
import type { Medium } from "./medium.ts";
import { openBlockMedium } from "./medium-block.ts";
import { openDirectoryMedium } from "./medium-directory.ts";
import { openZonedMedium } from "./medium-zoned.ts";
import type { ChunkStoreOptions, PoolChunkStore } from "./pool-chunk-store.ts";
import { type PoolLimits, poolLimits } from "./pool-limits.ts";
import { recover } from "./recovery.ts";
import type { Superblock } from "./superblock.ts";

/**
 * Opens a pool, or makes one on an empty medium. Throws `FailedPrecondition` (the medium holds something else), `Unavailable` (locked by
 * another process, damaged beyond use, gone), `IncompatibleVersion`, `InvalidArgument`.
 */
export async function openChunkStore(options: ChunkStoreOptions): Promise<PoolChunkStore> {
  const { fileSystem } = options;
  const { path } = options.medium;
  const limits = poolLimits(options.limits ?? {});
  let lock: { release(): Promise<void> } | undefined;
  let medium: Medium | undefined;
  try {
    if (options.medium.kind === "directory") await fileSystem.makeDirectory(path);
    lock = await fileSystem.lock(options.medium.kind === "directory" ? `${path}/LOCK` : path);
    medium = await openMedium(options, limits);
    const recovered = await recover(medium, options.checksum);
    const store = new LogChunkStore(options, limits, medium, recovered, lock);
    await store.begin();
    return store;
  } catch (error) {
    await medium?.close().catch(() => {});
    await lock?.release();
    if (!(error instanceof FileSystemError)) throw error;
    throw new AppError("Unavailable", `pool ${options.poolName} at ${path}: ${whyClosed(error)}`, {
      cause: error,
      retryable: false,
    });
  }
}

/** What to tell of an error that kept a pool from being opened, and what to do about it. */
function whyClosed({ code, message }: FileSystemError): string {
  if (code === "EWOULDBLOCK") return "another process has it open";
  if (code === "EBUSY") return `${message}: it is mounted, part of another device, or open elsewhere`;
  if (code === "EACCES" || code === "EPERM")
    return `${message}: run the agent as root, or give its user the rights to it`;
  return message;
}

async function openMedium(options: ChunkStoreOptions, limits: PoolLimits): Promise<Medium> {
  const { medium, fileSystem, checksum, clock, prng, nodeName, poolName } = options;
  const fresh = (): Superblock => ({
    writeNo: 1,
    poolUuid: prng.uuid(),
    clusterUuid: zeroUuid,
    createdMs: clock.wallMs(),
    kind: medium.kind,
    segmentBytes: limits.segmentBytes,
    slotsOffsetBytes: 0,
    slotCount: 0,
    nodeName,
    poolName,
  });
  const { path } = medium;
  if (medium.kind === "directory") return openDirectoryMedium({ fileSystem, checksum, path, fresh });
  const { format } = medium;
  if (medium.kind === "zoned")
    return onDevice(medium.open, (device) => openZonedMedium({ device, checksum, path, format, fresh }));
  return onDevice(medium.open, (device) => openBlockMedium({ device, checksum, path, format, fresh }));
}

/** A device is opened exclusively: one left open would refuse us at the next attempt, and hide why this one failed. */
async function onDevice<Device extends { close(): Promise<void> }>(
  open: () => Promise<Device>,
  use: (device: Device) => Promise<Medium>,
): Promise<Medium> {
  const device = await open();
  try {
    return await use(device);
  } catch (error) {
    await device.close().catch(() => {});
    throw error;
  }
}
