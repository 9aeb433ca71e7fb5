/**
 * What is on a device and whether it is free: sysfs says who holds it, its ends say what lies on it, and opening it says whether we may. Looking
 * changes nothing on the device.
 */
import type { UseReason } from "@couchestor/common/api/devices.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { contentOf, type Ends, lookBytes } from "./content.ts";
import { type FoundLabel, labelOf, labelReason } from "./label.ts";
import type { Device } from "./model.ts";
import type { DeviceNodes, ReadableDevice, SysTree } from "./ports.ts";
import { type Usage, usesOf } from "./usage.ts";
import { type Extent, headExtent, labelExtents, writtenZones } from "./zone-look.ts";

/** Smaller than this a device can't hold a pool: superblocks and four segments of 64 MiB. */
export const poolDeviceBytesMin = 2 ** 20 + 4096 + 4 * 64 * 2 ** 20;

export interface InspectParts {
  tree: SysTree;
  nodes: DeviceNodes;
  checksum: Checksum;
}

/**
 * The device with `inUse` and `label` filled in. Asking whether it is busy takes it for a moment, in which others that open it exclusively fail:
 * who opens it next himself leaves that out. Never throws: what can't be found out is a reason not to touch it.
 */
export async function inspect(
  parts: InspectParts,
  device: Device,
  usage: Usage,
  { asksWhetherBusy = true } = {},
): Promise<Device> {
  const { tree, nodes, checksum } = parts;
  const uses = [...device.inUse, ...(await usesOf(tree, device, usage))];
  const problems = [...device.problems];
  const unfit = unfitOf(device);
  let found: FoundLabel;
  const node = await nodeReason(nodes, device);
  if (node !== undefined) uses.push(node);
  else {
    try {
      const ends = await readEnds(nodes, device.path, device.zoned === "host-managed");
      found = labelOf(ends, checksum);
      const reason = labelReason(found);
      const isActive = uses.some(({ kind }) => kind === "active");
      const isBusy = asksWhetherBusy && !isActive && (await nodes.isBusy(device.path));
      if (reason !== undefined) uses.push(isBusy ? opened(reason) : reason);
      else uses.push(...contentOf(ends), ...(isBusy ? [busyReason(device)] : []));
    } catch (error) {
      uses.push(openFailure(device, error));
    }
  }
  return {
    ...device,
    // What keeps everybody off comes first.
    inUse: [...unfit, ...uses].sort((a, b) => order(a) - order(b)).slice(0, 16),
    ...(found !== undefined && "label" in found ? { label: found.label } : {}),
    problems,
  };
}

/** Reads the first and the last MiB; of a zoned device what is written of the first, and where it has its label. Throws `FileSystemError`. */
export async function readEnds(nodes: Pick<DeviceNodes, "openToLook">, path: string, isZoned: boolean): Promise<Ends> {
  const device = await nodes.openToLook(path);
  try {
    return await (isZoned ? zonedEndsOf(device) : endsOf(device, path));
  } finally {
    await device.close();
  }
}

/** The ends of an open device. A size of 0 is a device that has gone. */
export async function endsOf(device: Pick<ReadableDevice, "sizeBytes" | "read">, path: string): Promise<Ends> {
  const { sizeBytes } = device;
  if (sizeBytes === 0) throw new FileSystemError("ENODEV", "read (its size is 0)", path);
  const length = Math.min(lookBytes, sizeBytes);
  const head = new Uint8Array(length);
  const tail = new Uint8Array(length);
  await device.read(head, 0);
  await device.read(tail, sizeBytes - length);
  return { head, tail, sizeBytes };
}

/** Behind a write pointer anything may read back, or nothing, so there it is not read. */
async function zonedEndsOf(device: Pick<ReadableDevice, "sizeBytes" | "read" | "zones">): Promise<Ends> {
  const zones = await device.zones();
  const read = async ({ offset, bytes }: Extent): Promise<Uint8Array> => {
    const into = new Uint8Array(bytes);
    if (bytes > 0) await device.read(into, offset);
    return into;
  };
  const labelLogs: Uint8Array[] = [];
  for (const extent of labelExtents(zones)) labelLogs.push(await read(extent));
  const head = new Uint8Array(lookBytes);
  head.set(await read(headExtent(zones)));
  return {
    head,
    tail: new Uint8Array(lookBytes),
    sizeBytes: device.sizeBytes,
    zoned: { labelLogs, writtenZones: writtenZones(zones), zoneCount: zones.length },
  };
}

const order = ({ kind }: UseReason): number => ["active", "ours", "content", "unfit"].indexOf(kind);

function unfitOf(device: Device): UseReason[] {
  const say = (what: string, detail: string): UseReason => ({ kind: "unfit", what, detail });
  const reasons: UseReason[] = [];
  if (device.readOnly) reasons.push(say("read-only", "it is read-only"));
  if (device.zoned === "none" && device.capacityBytes < poolDeviceBytesMin) {
    reasons.push(say("small", `it has ${device.capacityBytes} bytes; a pool needs at least ${poolDeviceBytesMin}`));
  }
  return reasons;
}

/** What is wrong with the way to the device; undefined if its path leads to it. */
async function nodeReason(nodes: DeviceNodes, device: Device): Promise<UseReason | undefined> {
  const say = (detail: string): UseReason => ({ kind: "unfit", what: "no-node", detail: detail.slice(0, 256) });
  try {
    const number = await nodes.numberAt(device.path);
    if (number === device.deviceNumber) return undefined;
    if (number === undefined) {
      return say(
        `there is no ${device.path} here: in a container give it the host's /dev, or the device was just removed`,
      );
    }
    return say(
      `${device.path} is ${number === "other" ? "no block device" : `device ${number}`}, not ${device.deviceNumber}`,
    );
  } catch (error) {
    return say(`${device.path} can't be looked at: ${codeOf(error)}`);
  }
}

function busyReason({ path }: Device): UseReason {
  return { kind: "active", what: "opened", detail: `another process has ${path} open exclusively` };
}

function opened(reason: UseReason): UseReason {
  return { ...reason, detail: `${reason.detail}, in use by an agent`.slice(0, 256) };
}

/** Why a device can't be opened or read, and what to do. */
export function openFailure({ path }: Pick<Device, "path">, error: unknown): UseReason {
  const code = codeOf(error);
  const say = (what: string, detail: string): UseReason => ({ kind: "unfit", what, detail: detail.slice(0, 256) });
  switch (code) {
    case "EACCES":
    case "EPERM":
      return say(
        "no-permission",
        `${path} can't be opened (${code}): run as root; in a container as privileged, or with the device given to it`,
      );
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return say("gone", `${path} is gone (${code})`);
    case "ETIMEDOUT":
      return say("silent", `${path} does not answer: it was asked and has said nothing for some time`);
    case "ENOMEDIUM":
      return say("empty", `there is no medium in ${path}`);
    default:
      return say("unreadable", `${path} can't be read: ${code}`);
  }
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}
