/**
 * Gives a claimed device back: its label is erased, and with it the way to its chunks. Refused while there are chunks, unless told that they may
 * go. Crash points: a copy of the label that is left still names the pool, so releasing again does what is missing. What is there afterwards is read
 * back.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { wholeReads } from "../pools/open-pool.ts";
import type { BlockDevice, Medium } from "../store/medium.ts";
import { openBlockMedium } from "../store/medium-block.ts";
import { openZonedMedium } from "../store/medium-zoned.ts";
import type { ZonedDevice } from "../store/zoned-device.ts";
import { firstDataZone } from "../store/zoned-format.ts";
import { type ClaimParts, exclusively, labelNow, openPatiently } from "./claim.ts";
import type { ReleasePlan } from "./claim-plan.ts";
import { zeroHeaders, zeroLabels } from "./erase.ts";
import { labelText } from "./label.ts";
import type { Device } from "./model.ts";

export interface ReleaseRun {
  /** Look only: how many segments there are, and nothing written. */
  dryRun: boolean;
  /** Whether the chunks on it may be destroyed. */
  destroyData: boolean;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal | undefined;
}

/**
 * Carries out a plan, durable and read back on return; with `dryRun` only looks. Returns how many segments held chunks. Throws `FailedPrecondition` if
 * there are some, or if the label can't be got rid of.
 */
export async function release(parts: ClaimParts, device: Device, plan: ReleasePlan, run: ReleaseRun): Promise<number> {
  return await exclusively(parts, device, async () => {
    const isZoned = plan.label.kind === "zoned";
    const segments = await (isZoned ? releaseZoned : releaseBlock)(parts, device, plan, run);
    if (!run.dryRun) await checkGone(parts, device, isZoned);
    return segments;
  });
}

/** A zone that the device holds read-only keeps its label, and some disks keep what they say they have overwritten. */
async function checkGone(parts: ClaimParts, device: Device, isZoned: boolean): Promise<void> {
  const there = await labelNow(parts, device, isZoned);
  if (there === undefined) return;
  throw new AppError(
    "FailedPrecondition",
    `device ${device.id}: it still carries ${labelText(there)} after that was erased: ${isZoned ? "zones of the label can't be emptied any more, or " : ""}it doesn't keep what is written. Take the disk out, or its pool is found again`,
    { data: { device: device.id, label: there } },
  );
}

async function releaseBlock(parts: ClaimParts, device: Device, plan: ReleasePlan, run: ReleaseRun): Promise<number> {
  const { path } = device;
  const direct = await openPatiently(parts, () => parts.nodes.openExclusive(path));
  try {
    // Opening mends a copy of the superblock that is missing: not when nothing may be written.
    const block = run.dryRun ? unwritten(wholeReads(path, direct)) : wholeReads(path, direct);
    // The medium would close the device with it; what it is asked for needs no closing.
    const medium = await openBlockMedium({ device: block, checksum: parts.checksum, path, fresh: vanished(device) });
    const segments = await checkSegments(device, plan, medium, run);
    if (run.dryRun) return segments;
    const { segmentBytes } = medium.superblock;
    await zeroLabels(block);
    const { onProgress = () => undefined, signal } = run;
    await zeroHeaders(block, { segmentBytes, onContent: () => undefined, onProgress, signal });
    return segments;
  } finally {
    await direct.close();
  }
}

async function releaseZoned(parts: ClaimParts, device: Device, plan: ReleasePlan, run: ReleaseRun): Promise<number> {
  const { path } = device;
  const zoned = await openPatiently(parts, () => parts.openZoned(path));
  try {
    if (run.dryRun) return await usedZones(zoned);
    const medium = await openZonedMedium({ device: zoned, checksum: parts.checksum, path, fresh: vanished(device) });
    const segments = await checkSegments(device, plan, medium, run);
    await resetZones(zoned, run);
    return segments;
  } finally {
    await zoned.close();
  }
}

async function usedZones(zoned: ZonedDevice): Promise<number> {
  const zones = await zoned.report();
  return zones.slice(firstDataZone(zones)).filter(({ state }) => state === "active" || state === "full").length;
}

/** Those of the label first. */
async function resetZones(zoned: ZonedDevice, { onProgress, signal }: ReleaseRun): Promise<void> {
  const zones = await zoned.report();
  const first = Math.max(0, firstDataZone(zones) - 2);
  for (let zone = first; zone < zones.length; zone++) {
    signal?.throwIfAborted();
    const state = zones[zone]?.state;
    if (state === "active" || state === "full") await zoned.reset(zone);
    if (zone === first + 1) await zoned.sync();
    onProgress?.(zone - first + 1, zones.length - first);
  }
  await zoned.sync();
}

async function checkSegments(device: Device, plan: ReleasePlan, medium: Medium, run: ReleaseRun): Promise<number> {
  if (medium.superblock.poolUuid !== plan.label.poolUuid) throw vanishedError(device);
  // What can't be read may be chunks as well.
  const segments = (await medium.segments()).length + (medium.unknownPlaces ?? 0);
  if (segments === 0 || run.destroyData || run.dryRun) return segments;
  throw new AppError(
    "FailedPrecondition",
    `device ${device.id}: pool ${plan.label.poolName} holds ${segments} segments of chunks. Let repair move them elsewhere first; or give --destroy-data if they may be lost`,
    { data: { device: device.id, segments } },
  );
}

function unwritten(device: BlockDevice): BlockDevice {
  return { ...device, write: async () => undefined, sync: async () => undefined };
}

function vanished(device: Device): () => never {
  return () => {
    throw vanishedError(device);
  };
}

function vanishedError(device: Device): AppError {
  return new AppError("Conflict", `device ${device.id}: its label changed since it was looked at; list devices again`, {
    data: { device: device.id },
  });
}
