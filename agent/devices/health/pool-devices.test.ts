import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import type { SysFile } from "../ports.ts";
import { deviceNumberOf, diskUnder, PoolDevices } from "./pool-devices.ts";

/** /sys as a table: where links lead, what folders hold, which files there are. */
function tree(links: Record<string, string>, folders: Record<string, string[]>, files: string[]) {
  return {
    resolve: async (path: string) => links[path],
    list: async (path: string) => folders[path] ?? [],
    read: async (path: string): Promise<SysFile> =>
      files.includes(path) ? { state: "read", bytes: new Uint8Array(1) } : { state: "missing" },
  };
}

const disks = tree(
  {
    "/sys/dev/block/8:0": "/sys/devices/a/block/sda",
    "/sys/dev/block/8:1": "/sys/devices/a/block/sda/sda1",
    "/sys/class/block/sda1": "/sys/devices/a/block/sda/sda1",
    "/sys/class/block/dm-0": "/sys/devices/virtual/block/dm-0",
    "/sys/dev/block/253:0": "/sys/devices/virtual/block/dm-0",
    "/sys/dev/block/253:1": "/sys/devices/virtual/block/dm-1",
    "/sys/dev/block/9:0": "/sys/devices/virtual/block/md0",
    "/sys/dev/block/253:9": "/sys/devices/virtual/block/dm-9",
    "/sys/class/block/dm-9": "/sys/devices/virtual/block/dm-9",
  },
  {
    "/sys/devices/virtual/block/dm-0/slaves": ["sda1"],
    "/sys/devices/virtual/block/dm-1/slaves": ["dm-0"],
    "/sys/devices/virtual/block/md0/slaves": ["sda1", "sdb1"],
    "/sys/devices/virtual/block/dm-9/slaves": ["dm-9"],
  },
  ["/sys/devices/a/block/sda/sda1/partition"],
);

test("through partitions and mappings to the one disk; with several, or none, there is no answer", async () => {
  expect(await diskUnder(disks, "8:0")).toBe("sda");
  expect(await diskUnder(disks, "8:1")).toBe("sda");
  expect(await diskUnder(disks, "253:1")).toBe("sda");
  expect(await diskUnder(disks, "9:0")).toBeUndefined();
  expect(await diskUnder(disks, "0:44")).toBeUndefined();
  expect(await diskUnder(disks, "253:9")).toBeUndefined();
});

test("pools by path: looked up again, as a disk may be mounted later; claimed ones by id are not paths", async () => {
  const numbers: Record<string, string> = { "/pools/a": "8:1", "/dev/sda": "8:0" };
  const specs = ["/pools/a", "/pools/b", "/dev/sda", "device:wwn-1"].map((path) => ({ poolName: `p ${path}`, path }));
  const pools = new PoolDevices(disks, specs, async (path) => numbers[path]);
  expect(pools.diskOf("p /pools/a")).toBeUndefined();
  await pools.look();
  const found = () => specs.map(({ poolName }) => pools.diskOf(poolName));
  expect(found()).toEqual(["sda", undefined, "sda", undefined]);
  numbers["/pools/b"] = "253:1";
  delete numbers["/pools/a"];
  await pools.look();
  expect(found()).toEqual([undefined, "sda", "sda", undefined]);
});

test("a pool whose disk hangs is asked for once, keeps what was known, and keeps no other waiting", async () => {
  const specs = ["/pools/a", "/dev/sda"].map((path) => ({ poolName: path, path }));
  let hung: PromiseWithResolvers<string | undefined> | undefined;
  const asked: string[] = [];
  const pools = new PoolDevices(disks, specs, async (path) => {
    asked.push(path);
    if (path === "/pools/a" && hung !== undefined) return hung.promise;
    return path === "/pools/a" ? "8:1" : "8:0";
  });
  await pools.look();
  hung = Promise.withResolvers();
  const stuck = pools.look();
  for (let i = 0; i < 3; i++) await pools.look();
  expect(asked.filter((path) => path === "/pools/a").length).toBe(2);
  expect(asked.filter((path) => path === "/dev/sda").length).toBeGreaterThan(2);
  expect([pools.diskOf("/pools/a"), pools.diskOf("/dev/sda")]).toEqual(["sda", "sda"]);
  hung.resolve(undefined);
  await stuck;
  expect(pools.diskOf("/pools/a")).toBeUndefined();
});

test("the number of a file system's device is the kernel's", async () => {
  const { dev } = statSync("/");
  expect(await deviceNumberOf("/")).toBe(`${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`);
  expect(await deviceNumberOf("/couchestor-absent")).toBeUndefined();
});
