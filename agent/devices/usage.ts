/** Who uses a device right now, as the kernel tells: mounts, swap, holders (dm, md, bcache), btrfs members, exports over NVMe. One reading serves all devices. */
import type { UseReason } from "@couchestor/common/api/devices.ts";
import type { Device } from "./model.ts";
import type { SysTree } from "./ports.ts";

/** A node with many pods has thousands of mounts. */
const mountsBytesMax = 16 * 2 ** 20;

export interface Usage {
  /** Device number → where it is mounted. */
  mountsByNumber: ReadonlyMap<string, readonly string[]>;
  /** Name in /sys/block or of a partition → where it is mounted, for file systems that hide their device's number (btrfs). */
  mountsByName: ReadonlyMap<string, readonly string[]>;
  swaps: ReadonlySet<string>;
  btrfs: ReadonlyMap<string, string>;
  exports: ReadonlyMap<string, string>;
  problems: readonly string[];
}

/** Reads it all. Never throws. */
export async function readUsage(tree: SysTree): Promise<Usage> {
  const problems: string[] = [];
  const mountsByNumber = new Map<string, string[]>();
  const mountsByName = new Map<string, string[]>();
  // Process 1 sees the machine's mounts where this one is in a container that shares its process ids.
  for (const path of ["/proc/self/mountinfo", "/proc/1/mountinfo"]) {
    const file = await tree.read(path, mountsBytesMax);
    if (file.state === "read") await addMounts(tree, file.bytes, mountsByNumber, mountsByName);
    else if (path.includes("self")) {
      problems.push(`${path} can't be read (${file.state === "failed" ? file.code : "missing"}): mounts are not known`);
    }
  }
  return {
    mountsByNumber,
    mountsByName,
    swaps: await swapsOf(tree, problems),
    btrfs: await btrfsOf(tree),
    exports: await exportsOf(tree),
    problems,
  };
}

/** The lines of mountinfo (proc(5)): the third field is the device's number, the fifth the place, the second behind `-` the source. */
async function addMounts(
  tree: SysTree,
  bytes: Uint8Array,
  byNumber: Map<string, string[]>,
  byName: Map<string, string[]>,
): Promise<void> {
  const add = (map: Map<string, string[]>, key: string, place: string) => {
    const places = map.get(key) ?? [];
    if (!places.includes(place) && places.length < 16) places.push(place);
    map.set(key, places);
  };
  const sources = new Map<string, Set<string>>();
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const fields = line.split(" ");
    const [, , number = "", , place = ""] = fields;
    const source = fields[fields.indexOf("-") + 2] ?? "";
    if (!/^\d+:\d+$/.test(number)) continue;
    add(byNumber, number, unescaped(place));
    if (source.startsWith("/dev/")) sources.set(source, (sources.get(source) ?? new Set()).add(unescaped(place)));
  }
  for (const [source, places] of sources) {
    const name = await nameOf(tree, unescaped(source));
    for (const place of places) add(byName, name, place);
  }
}

async function swapsOf(tree: SysTree, problems: string[]): Promise<Set<string>> {
  const file = await tree.read("/proc/swaps", mountsBytesMax);
  if (file.state === "failed") problems.push(`/proc/swaps can't be read (${file.code}): swap is not known`);
  if (file.state !== "read") return new Set();
  const names = new Set<string>();
  for (const line of new TextDecoder().decode(file.bytes).split("\n")) {
    const [path = ""] = line.split(/\s/);
    if (path.startsWith("/dev/")) names.add(await nameOf(tree, unescaped(path)));
  }
  return names;
}

/** Members of mounted btrfs file systems: a mount names one of them only. */
async function btrfsOf(tree: SysTree): Promise<Map<string, string>> {
  const members = new Map<string, string>();
  for (const uuid of await tree.list("/sys/fs/btrfs").catch(() => [])) {
    if (!/^[0-9a-f-]{36}$/.test(uuid)) continue;
    for (const name of await tree.list(`/sys/fs/btrfs/${uuid}/devices`).catch(() => [])) members.set(name, uuid);
  }
  return members;
}

/** Namespaces that the kernel's NVMe target exports; it does not open them exclusively, so nothing else would tell. */
async function exportsOf(tree: SysTree): Promise<Map<string, string>> {
  const base = "/sys/kernel/config/nvmet/subsystems";
  const exports = new Map<string, string>();
  for (const subsystem of await tree.list(base).catch(() => [])) {
    for (const number of await tree.list(`${base}/${subsystem}/namespaces`).catch(() => [])) {
      const file = await tree.read(`${base}/${subsystem}/namespaces/${number}/device_path`);
      const path = file.state === "read" ? new TextDecoder().decode(file.bytes).trim() : "";
      if (path.startsWith("/dev/")) exports.set(await nameOf(tree, path), subsystem);
    }
  }
  return exports;
}

/** `sda2` for `/dev/sda2`, and `dm-0` for `/dev/mapper/root`, which is a link. */
async function nameOf(tree: SysTree, path: string): Promise<string> {
  const target = (await tree.resolve(path)) ?? path;
  return target.slice("/dev/".length).replaceAll("/", "!");
}

/** Blanks in these files are written `\040`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Why `device` is in use, partitions included; empty if nothing is known of any use. Partitions by themselves are content, not use. */
export async function usesOf(tree: SysTree, device: Device, usage: Usage): Promise<UseReason[]> {
  const reasons: UseReason[] = [];
  const say = (kind: UseReason["kind"], what: string, detail: string) =>
    reasons.push({ kind, what, detail: detail.slice(0, 256) });
  const { name, sysPath, deviceNumber } = device;
  const entries = await tree.list(sysPath).catch(() => []);
  const partitions = entries.filter((entry) => entry.startsWith(name) && /^p?\d+$/.test(entry.slice(name.length)));
  const parts = await Promise.all(
    partitions.map(async (part) => {
      const file = await tree.read(`${sysPath}/${part}/dev`);
      const number = file.state === "read" ? new TextDecoder().decode(file.bytes).trim() : "";
      return { name: part, number, folder: `${sysPath}/${part}` };
    }),
  );
  for (const part of [{ name, number: deviceNumber, folder: sysPath }, ...parts]) {
    const path = `/dev/${part.name.replaceAll("!", "/")}`;
    const places = usage.mountsByNumber.get(part.number) ?? usage.mountsByName.get(part.name) ?? [];
    if (places.length > 0) say("active", "mounted", `${path} is mounted at ${places.slice(0, 3).join(", ")}`);
    else if (usage.btrfs.has(part.name)) {
      say("active", "btrfs", `${path} is a member of the mounted btrfs ${usage.btrfs.get(part.name)}`);
    }
    if (usage.swaps.has(part.name)) say("active", "swap", `the system swaps to ${path}`);
    if (usage.exports.has(part.name)) {
      say("active", "exported", `${path} is exported over NVMe as ${usage.exports.get(part.name)}`);
    }
    for (const holder of await tree.list(`${part.folder}/holders`).catch(() => [])) {
      say("active", "holder", `${path} is held by ${await holderText(tree, holder)}`);
    }
    if ((await tree.resolve(`${part.folder}/bcache`)) !== undefined)
      say("active", "bcache", `${path} is part of bcache`);
  }
  if (parts.length > 0) {
    const names = parts.map((part) => part.name);
    say("content", "partitioned", `it has ${parts.length} partitions: ${names.slice(0, 8).join(", ")}`);
  }
  return reasons.slice(0, 12);
}

/** `dm-0 (vg-root)`: the kernel's name and the one people know. */
async function holderText(tree: SysTree, holder: string): Promise<string> {
  const file = await tree.read(`/sys/block/${holder}/dm/name`);
  const name = file.state === "read" ? new TextDecoder().decode(file.bytes).trim() : "";
  return name === "" ? holder : `${holder} (${name})`;
}
