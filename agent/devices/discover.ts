/**
 * All block devices of this machine that could hold data, by sysfs alone: no udev, no program of others. Reading is done for many at once; a
 * device that disappears meanwhile is left out, and one whose attributes are strange is listed with what is strange about it.
 */
import type { Device, Inventory } from "./model.ts";
import { hiddenPath } from "./nvme-sysfs.ts";
import type { SysTree } from "./ports.ts";
import { readDevice } from "./read-device.ts";

const devicesAtOnce = 16;
/** Machines with more exist; a node of ours looks after no more. */
export const devicesMax = 4096;
const goneJustNow = "it has just gone away";
const byIdFolder = "/dev/disk/by-id";

/** What is never a place for data: memory disks, optical drives, floppies, unbound loop and network block devices have size 0. */
const neverData = /^(ram|zram|sr|fd|mtdblock)\d/;

/** Reads all devices. Never throws: what keeps it from being whole is in `problems`. */
export async function discover(tree: SysTree): Promise<Inventory> {
  let names: string[];
  try {
    names = await tree.list("/sys/block");
  } catch (error) {
    return { devices: [], skipped: [], problems: [`/sys/block can't be read: ${codeOf(error)}`] };
  }
  if (names.length === 0) {
    const why =
      "/sys/block is missing or empty: mount sysfs; in a container give it the host's /sys (read-only is enough)";
    return { devices: [], skipped: [], problems: [why] };
  }
  const problems = names.length > devicesMax ? [`${names.length} block devices; only ${devicesMax} are looked at`] : [];
  const skipped: { name: string; why: string }[] = [];
  const skip = (name: string, why: string): undefined => void skipped.push({ name, why });
  const read = async (name: string): Promise<Device | undefined> => {
    const why = passOver(name);
    const sysPath = why === undefined ? await tree.resolve(`/sys/block/${name}`) : undefined;
    if (why !== undefined || sysPath === undefined) return skip(name, why ?? goneJustNow);
    const reading = await readDevice(tree, name, sysPath, names);
    // Half of a device that went away while it was read would look like another one.
    if ((await tree.resolve(`/sys/block/${name}`)) !== sysPath) return skip(name, goneJustNow);
    if ("skip" in reading) return skip(name, reading.skip);
    if (reading.device.capacityBytes > 0) return reading.device;
    return skip(name, "its size is 0: nothing is bound to it, or it is gone");
  };
  const devices = await inLanes(names.slice(0, devicesMax), devicesAtOnce, read);
  const found = withTwins(devices.filter((device) => device !== undefined));
  const links = await linksById(tree);
  return {
    devices: found.map((device) => ({ ...device, byId: links.get(device.name) ?? [] })),
    skipped: skipped.sort((a, b) => (a.name < b.name ? -1 : 1)),
    problems,
  };
}

function passOver(name: string): string | undefined {
  if (hiddenPath.test(name)) return "a path of NVMe multipath; the namespace itself is listed";
  return neverData.test(name) ? "no place for data" : undefined;
}

/** Two devices with one id are two paths to one disk, or a maker's mistake. Neither can be told from the other by id, so neither may be used by it. */
function withTwins(devices: readonly Device[]): Device[] {
  const byId = Map.groupBy(devices, ({ id }) => id);
  return devices.map((device) => {
    const others = (byId.get(device.id) ?? []).filter((other) => other !== device);
    if (others.length === 0) return device;
    const paths = others.map(({ path }) => path).join(", ");
    const detail = `${paths} says to be the same disk: use it through multipath, or tell the maker`;
    return {
      ...device,
      inUse: [...device.inUse, { kind: "unfit" as const, what: "same-id", detail: detail.slice(0, 256) }],
    };
  });
}

/** Names that udev made, for people who know a disk by them: device name → names. None without udev. */
async function linksById(tree: SysTree): Promise<Map<string, string[]>> {
  const links = new Map<string, string[]>();
  const names = await tree.list(byIdFolder).catch(() => []);
  await Promise.all(
    names.map(async (name) => {
      const target = await tree.resolve(`${byIdFolder}/${name}`);
      const device = target?.slice(target.lastIndexOf("/") + 1);
      if (device !== undefined) links.set(device, [...(links.get(device) ?? []), name].sort());
    }),
  );
  return links;
}

/** Runs `run` on each item, `lanes` of them at a time; results in the items' order. */
export async function inLanes<Item, Result>(
  items: readonly Item[],
  lanes: number,
  run: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await run(items[index] as Item);
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
  return results;
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}
