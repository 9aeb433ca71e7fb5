/**
 * Claims a device: erases what may be erased, writes the label, reads it back. Crash points: until the first copy of the label is written whole
 * the device is nobody's, and claiming it again does what is missing; from then on it is claimed, and opening it writes the copy that is missing.
 *
 *   C1 the ends are erased, partly or wholly       unknown data or nothing lies there: claim again, with --wipe
 *   C2 beginnings of segments are erased           the same; no label is there yet
 *   C3 torn in the last copy of the label          its CRC is wrong, so it is no label
 *   C4 the last copy is whole, the first is not    claimed; the medium mends the first when it is opened
 */
import type { DeviceLabel } from "@couchestor/common/api/devices.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { type FileSystem, FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { type DirectDevice, wholeReads } from "../pools/open-pool.ts";
import type { Medium } from "../store/medium.ts";
import { openBlockMedium } from "../store/medium-block.ts";
import { openZonedMedium, readZonedSuperblock } from "../store/medium-zoned.ts";
import { defaultPoolLimits } from "../store/pool-limits.ts";
import type { Superblock } from "../store/superblock.ts";
import type { ZonedDevice } from "../store/zoned-device.ts";
import type { ClaimPlan } from "./claim-plan.ts";
import { contentOf } from "./content.ts";
import { discover } from "./discover.ts";
import { zeroEnds, zeroHeaders } from "./erase.ts";
import { endsOf, type InspectParts, readEnds } from "./inspect.ts";
import { labelOf, labelText } from "./label.ts";
import type { Device } from "./model.ts";

export interface ClaimParts extends InspectParts {
  clock: Clock;
  /** Locks the device's node against agents that are about to open it. */
  fileSystem: Pick<FileSystem, "lock">;
  /** Opens a zoned device, as its only such user. */
  openZoned(path: string): Promise<ZonedDevice>;
  /** Processes that have it open without keeping others off; nobody but its user can know what they do with it. */
  openers(device: Device): Promise<readonly string[]>;
  /** Makes the kernel forget partitions that are gone. */
  rereadPartitions(path: string): Promise<void>;
}

export interface ClaimRun {
  /** Whether anything that isn't zeros may be erased. */
  wipe: boolean;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal | undefined;
}

/** How long another machine that reaches the same disk has to show that it was claiming it too. */
const settleMs = 1_000;
const openAttemptsMax = 10;
const openPauseMs = 100;

/** Carries out a plan. Durable and read back on return. Throws `Conflict` when somebody else was faster, `FailedPrecondition`, or `Unavailable`. */
export async function claim(parts: ClaimParts, device: Device, plan: ClaimPlan, run: ClaimRun): Promise<void> {
  if (plan.action === "none") return;
  await exclusively(parts, device, async () => {
    if (plan.action === "relabel") await relabel(parts, device, plan);
    else if (plan.label.kind === "zoned") await (await formatZoned(parts, device, plan, run)).close();
    else await formatBlock(parts, device, plan, run);
    await parts.rereadPartitions(device.path).catch(() => undefined);
    await parts.clock.sleep(settleMs, run.signal);
    await checkBack(parts, device, plan);
  });
}

/** Runs `work` with the device's lock held, and says in words who has it if it can't be had. */
export async function exclusively<T>(parts: ClaimParts, device: Device, work: () => Promise<T>): Promise<T> {
  // Locking makes the file if it is missing: not in /dev.
  const there = await parts.nodes.numberAt(device.path);
  if (there === undefined) throw new AppError("Unavailable", `device ${device.id}: ${device.path} is gone`);
  const openers = await openersThatStay(parts, device);
  if (openers.length > 0) {
    throw new AppError(
      "FailedPrecondition",
      `device ${device.id}: ${device.path} is open in ${openers.slice(0, 4).join(", ")}: stop that first`,
      { data: { device: device.id, openers } },
    );
  }
  let lock: { release(): Promise<void> } | undefined;
  try {
    lock = await parts.fileSystem.lock(device.path);
    return await work();
  } catch (error) {
    throw asAppError(device, error);
  } finally {
    await lock?.release();
  }
}

/** Who has it open, and goes on having it. Agents and `device list` open a device for a moment to look at it: that moment is waited for. */
async function openersThatStay(parts: ClaimParts, device: Device): Promise<readonly string[]> {
  for (let attempt = 1; ; attempt++) {
    const openers = await parts.openers(device);
    if (openers.length === 0 || attempt === openAttemptsMax) return openers;
    await parts.clock.sleep(openPauseMs);
  }
}

/** Opens exclusively. Agents and `device list` take a device for a moment to see whether it is in use: that moment is waited for. */
export async function openPatiently<T>({ clock }: Pick<ClaimParts, "clock">, open: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      const isBusy = error instanceof FileSystemError && error.code === "EBUSY";
      if (!isBusy || attempt === openAttemptsMax) throw error;
      await clock.sleep(openPauseMs);
    }
  }
}

function asAppError(device: Device, error: unknown): unknown {
  if (!(error instanceof FileSystemError)) return error;
  const { code } = error;
  const say = (kind: "Conflict" | "FailedPrecondition" | "Unavailable", why: string) =>
    new AppError(kind, `device ${device.id}: ${why}`, { data: { device: device.id, path: device.path }, cause: error });
  if (code === "EWOULDBLOCK" || code === "EAGAIN" || code === "EBUSY") {
    return say("Conflict", `another process has ${device.path} open or is claiming it (${error.message})`);
  }
  if (code === "EACCES" || code === "EPERM") {
    return say("FailedPrecondition", `${device.path} can't be opened for writing (${code}): run as root`);
  }
  if (["ENOENT", "ENODEV", "ENXIO"].includes(code))
    return say("Unavailable", `${device.path} is gone (${error.message})`);
  return say("Unavailable", error.message);
}

async function formatBlock(parts: ClaimParts, device: Device, plan: ClaimPlan, run: ClaimRun): Promise<void> {
  const direct = await openPatiently(parts, () => parts.nodes.openExclusive(device.path));
  let medium: Medium | undefined;
  try {
    if (direct.deviceNumber !== device.deviceNumber || direct.sizeBytes !== device.capacityBytes) throw changed(device);
    await checkIdentity(parts, device);
    const block = wholeReads(device.path, direct);
    const ends = await endsOf(block, device.path);
    if (labelOf(ends, parts.checksum) !== undefined) throw changed(device);
    const content = contentOf(ends);
    if (content.length > 0) {
      if (!run.wipe) throw changed(device);
      await zeroEnds(block);
    }
    await zeroHeaders(block, {
      segmentBytes: defaultPoolLimits.segmentBytes,
      onContent: (offset) => {
        if (!run.wipe) throw hiddenContent(device, offset);
      },
      onProgress: run.onProgress ?? (() => undefined),
      signal: run.signal,
    });
    const fresh = () => superblockOf(plan, parts.clock);
    medium = await openBlockMedium({ device: block, checksum: parts.checksum, path: device.path, fresh });
  } finally {
    await (medium === undefined ? direct.close() : medium.close());
  }
}

async function formatZoned(parts: ClaimParts, device: Device, plan: ClaimPlan, run: ClaimRun): Promise<Medium> {
  const zoned = await openPatiently(parts, () => parts.openZoned(device.path));
  try {
    await checkIdentity(parts, device);
    const fresh = () => superblockOf(plan, parts.clock);
    const { checksum } = parts;
    const { path } = device;
    // Whoever was faster has written his: not even what may be wiped includes a pool that nobody was asked about.
    if ((await readZonedSuperblock({ device: zoned, checksum, path })) !== undefined) throw changed(device);
    return await openZonedMedium({ device: zoned, checksum, path, format: run.wipe, fresh });
  } catch (error) {
    await zoned.close().catch(() => undefined);
    throw error;
  }
}

/** Opens the pool that is there and rewrites the names in its superblock; segments are not touched. */
async function relabel(parts: ClaimParts, device: Device, plan: ClaimPlan): Promise<void> {
  const { poolUuid, poolName, nodeName, clusterUuid, kind } = plan.label;
  const { path } = device;
  const fresh = (): Superblock => {
    throw changed(device);
  };
  const { checksum } = parts;
  const raw = await openPatiently<ZonedDevice | DirectDevice>(parts, () =>
    kind === "zoned" ? parts.openZoned(path) : parts.nodes.openExclusive(path),
  );
  let medium: Medium | undefined;
  try {
    medium =
      "report" in raw
        ? await openZonedMedium({ device: raw, checksum, path, fresh })
        : await openBlockMedium({ device: wholeReads(path, raw), checksum, path, fresh });
    if (medium.superblock.poolUuid !== poolUuid) throw changed(device);
    await medium.writeSuperblock({ ...medium.superblock, poolName, nodeName, clusterUuid });
  } finally {
    await (medium ?? raw).close();
  }
}

/** Now that it is open, its name and number stay its own: until then a disk put into the same slot may have taken both, and is as large if it is a twin. */
async function checkIdentity({ tree }: ClaimParts, device: Device): Promise<void> {
  const { devices } = await discover(tree);
  if (devices.find(({ deviceNumber }) => deviceNumber === device.deviceNumber)?.id !== device.id) throw changed(device);
}

function superblockOf({ label }: ClaimPlan, clock: Clock): Superblock {
  const { segmentBytes } = defaultPoolLimits;
  return { ...label, writeNo: 0, createdMs: clock.wallMs(), segmentBytes, slotsOffsetBytes: 0, slotCount: 0 };
}

/** What is on the device now, past every cache, must be what was written: another machine may have written its own label meanwhile. */
async function checkBack(parts: ClaimParts, device: Device, { label }: ClaimPlan): Promise<void> {
  const there = await labelNow(parts, device, label.kind === "zoned");
  if (there !== undefined && sameLabel(there, label)) return;
  const what = there === undefined ? "no label of ours" : labelText(there);
  throw new AppError(
    "Conflict",
    `device ${device.id}: wrote ${labelText(label)}, but it now carries ${what}: another machine claims it too, or the disk doesn't keep what is written`,
    { data: { device: device.id } },
  );
}

/** The label that is on the device at this moment; undefined if there is none that this program can read. */
export async function labelNow(parts: ClaimParts, device: Device, isZoned: boolean): Promise<DeviceLabel | undefined> {
  const ends = isZoned ? await readEnds(parts.nodes, device.path, true) : await readDirect(parts, device);
  const found = labelOf(ends, parts.checksum);
  return found !== undefined && "label" in found ? found.label : undefined;
}

async function readDirect(parts: ClaimParts, device: Device) {
  const direct = await openPatiently(parts, () => parts.nodes.openExclusive(device.path));
  try {
    return await endsOf(wholeReads(device.path, direct), device.path);
  } finally {
    await direct.close();
  }
}

function sameLabel(a: ClaimPlan["label"], b: ClaimPlan["label"]): boolean {
  return (["poolUuid", "poolName", "nodeName", "clusterUuid", "kind"] as const).every((field) => a[field] === b[field]);
}

function changed(device: Device): AppError {
  return new AppError(
    "Conflict",
    `device ${device.id}: ${device.path} is not as it was when it was looked at: another disk, or somebody wrote to it. List devices again`,
    { data: { device: device.id } },
  );
}

function hiddenContent(device: Device, offset: number): AppError {
  return new AppError(
    "FailedPrecondition",
    `device ${device.id}: both its ends are zeros, but there is data at ${offset}. Give --wipe if it may be erased for good`,
    { data: { device: device.id, offset } },
  );
}
