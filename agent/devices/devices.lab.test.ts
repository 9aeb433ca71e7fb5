/**
 * Discovery, in-use detection and claiming on real controllers: every kind of disk, every way to use one, and two that want the same.
 * lab: machine=standard timeoutSeconds=1200 memoryMiB=3072
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join, resolve } from "node:path";
import type { LocalDevices } from "@couchestor/common/api/local-devices.ts";
import type { AppError } from "@couchestor/common/errors/app-error.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { askHost, command, until } from "@couchestor/common/testing/lab.ts";
import type { ClaimParts } from "./claim.ts";
import { localDevices, systemClaimParts } from "./local-adapter.ts";
import type { Device } from "./model.ts";
import { DeviceMonitor } from "./monitor.ts";
import { survey } from "./survey.ts";

const root = resolve(import.meta.dir, "../..");
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const { signal } = new AbortController();
let parts: ClaimParts;
let local: LocalDevices;
beforeAll(async () => {
  parts = await systemClaimParts(systemClock);
  local = await localDevices({ clock: systemClock, prng: systemPrng, log });
});
afterAll(() => local.close());

async function devices(): Promise<readonly Device[]> {
  return (await survey(parts)).devices;
}

async function bySerial(serial: string, namespace = 1): Promise<Device> {
  const all = await devices();
  const found = all.find((d) => d.serial === serial && (d.nvme === undefined || d.nvme.namespaceId === namespace));
  if (found === undefined) throw new Error(`no ${serial} among ${all.map(({ id }) => id).join()}`);
  return found;
}

/** The command line as a person calls it. */
async function couchestor(...argv: string[]): Promise<{ code: number; out: string }> {
  const program = [process.execPath, join(root, "couchestor.ts")];
  const child = Bun.spawn([...program, ...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out: stdout + stderr };
}

/** The same without a process of its own, which takes its time on an emulated processor. */
function claimNow(id: string, poolName: string, wipe: boolean) {
  const order = { poolName, nodeName: "n1", clusterUuid: undefined, wipe, move: false };
  return local.claim(id, order, { dryRun: false, signal });
}

async function releaseNow(id: string): Promise<void> {
  await local.release(id, false, { dryRun: false, signal });
}

/** The first MiB of a device, to see that nothing touched it. */
function head(path: string): Buffer {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(2 ** 20);
    readSync(fd, bytes, 0, bytes.byteLength, 0);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

describe("what there is", () => {
  test("every disk with its facts, on the kernel's word and not on a name's", async () => {
    const facts = (await devices()).map(({ serial, nvme, transport, tier, zoned, rotational }) =>
      [serial, nvme?.namespaceId ?? "-", transport, tier, zoned, rotational].join(" "),
    );
    expect(facts.toSorted()).toEqual([
      "NVME0001 1 pcie hot none false",
      "NVME0001 2 pcie hot none false",
      "SAS00001 - sas cold none true",
      "SATA0001 - sata cold none true",
      "VSCSI001 - virtio warm none false",
      "ZNS00001 1 pcie warm host-managed false",
    ]);
    const serials = JSON.parse(command("nvme", "list", "-o", "json")) as {
      Devices: { SerialNumber: string; DevicePath: string }[];
    };
    for (const { SerialNumber, DevicePath } of serials.Devices) {
      expect((await devices()).find(({ path }) => path === DevicePath)?.serial).toBe(SerialNumber);
    }
    expect((await bySerial("SATA0001")).id).toBe("wwn-0x5000c50000000001");
    const { skipped } = await survey(parts);
    expect(skipped.filter(({ why }) => why.includes("multipath")).length).toBe(2);
  });
});

describe("in use", () => {
  let disk: Device;
  beforeAll(async () => {
    disk = await bySerial("VSCSI001");
  });

  const uses = async () => (await bySerial("VSCSI001")).inUse.map(({ kind, what }) => `${kind} ${what}`);
  /** Refused, with or without --wipe as given, and not one byte of the beginning changed. */
  async function isRefused(wipe: boolean): Promise<string> {
    const before = head(disk.path);
    const refused = await claimNow(disk.id, "p", wipe).then(
      () => "claimed",
      (error: AppError) => `${error.code}: ${error.message}`,
    );
    expect(head(disk.path).equals(before)).toBe(true);
    expect(refused).toStartWith(`FailedPrecondition: device ${disk.id}`);
    return refused;
  }
  function clean(): void {
    command("dd", "if=/dev/zero", `of=${disk.path}`, "bs=1M", "count=2", "conv=fsync");
    command("blockdev", "--rereadpt", disk.path);
  }

  test("a mounted file system is never touched; unmounted it is content", async () => {
    command("mkfs.ext4", "-q", disk.path);
    command("mkdir", "-p", "/tmp/mnt");
    // A file system that is mounted for writing changes its superblock by itself.
    command("mount", "-o", "ro,noload", disk.path, "/tmp/mnt");
    expect(await uses()).toEqual(["active mounted", "content ext4"]);
    await isRefused(true);
    command("umount", "/tmp/mnt");
    expect(await uses()).toEqual(["content ext4"]);
    await isRefused(false);
    clean();
    expect(await uses()).toEqual([]);
  });

  test("an LVM volume group, active and not", async () => {
    command("pvcreate", "-y", disk.path);
    expect(await uses()).toEqual(["content lvm"]);
    command("vgcreate", "vg", disk.path);
    command("lvcreate", "-y", "-Zn", "-L", "64M", "-n", "lv", "vg");
    expect(await uses()).toEqual(["active holder", "content lvm"]);
    command("vgremove", "-y", "vg");
    clean();
  });

  test("a member of a RAID, a dm target, swap, a partition, and an exclusive opener", async () => {
    command("mdadm", "--create", "/dev/md7", "--level=1", "--raid-devices=2", "--run", "--force", disk.path, "missing");
    expect(await uses()).toEqual(["active holder", "content raid"]);
    command("mdadm", "--stop", "/dev/md7");
    expect(await uses()).toEqual(["content raid"]);
    clean();
    command("dmsetup", "create", "held", "--table", `0 2048 linear ${disk.path} 0`);
    expect(await uses()).toEqual(["active holder"]);
    command("dmsetup", "remove", "held");
    command("mkswap", disk.path);
    command("swapon", disk.path);
    expect(await uses()).toEqual(["active swap", "content swap"]);
    command("swapoff", disk.path);
    clean();
    // One MBR partition of 64 MiB from 1 MiB on.
    const entry = "\\x00\\x00\\x00\\x00\\x83\\x00\\x00\\x00\\x00\\x08\\x00\\x00\\x00\\x00\\x02\\x00";
    command(
      "bash",
      "-c",
      `printf '${entry}' | dd of=${disk.path} bs=1 seek=446 conv=notrunc; printf '\\x55\\xaa' | dd of=${disk.path} bs=1 seek=510 conv=notrunc`,
    );
    command("blockdev", "--rereadpt", disk.path);
    expect(await uses()).toEqual(["content partitioned", "content mbr"]);
    clean();
    const exclusive = await parts.nodes.openExclusive(disk.path);
    expect(await uses()).toEqual(["active opened"]);
    await exclusive.close();
    expect(await uses()).toEqual([]);
  });

  test("a process that has it open without saying so is found before anything is written", async () => {
    const child = Bun.spawn(["sleep", "600"], { stdin: Bun.file(disk.path) });
    try {
      expect(await isRefused(false)).toContain(`sleep (pid ${child.pid})`);
    } finally {
      child.kill();
      await child.exited;
    }
  });
});

describe("claiming", () => {
  test("of two that claim one disk at the same moment one gets it; a zoned namespace is claimed as such; both are given back", async () => {
    const disk = await bySerial("SAS00001");
    const flags = ["--node", "n1", "--yes"];
    const claims = await Promise.all(
      ["one", "two"].map((pool) => couchestor("device", "claim", disk.id, "--pool", pool, ...flags)),
    );
    expect(claims.map(({ code }) => code).toSorted()).toEqual([0, 2]);
    const winner = claims[0]?.code === 0 ? "one" : "two";
    expect((await bySerial("SAS00001")).label).toMatchObject({ poolName: winner, nodeName: "n1", kind: "block" });
    await releaseNow(disk.id);
    expect((await bySerial("SAS00001")).inUse).toEqual([]);

    const zns = await bySerial("ZNS00001");
    await claimNow(zns.id, "z", false);
    expect((await bySerial("ZNS00001")).label).toMatchObject({ poolName: "z", kind: "zoned" });
    await releaseNow(zns.id);
    expect((await bySerial("ZNS00001")).inUse).toEqual([]);
  });
});

describe("hot-plug", () => {
  let monitor: DeviceMonitor;
  afterAll(() => monitor?.stop());

  test("a disk that comes or goes is noticed soon after the kernel, and is itself in another slot", async () => {
    monitor = new DeviceMonitor({ ...parts, clock: systemClock, log });
    monitor.start();
    const has = () => monitor.devices().find(({ serial }) => serial === "HOT1");
    const kernelHas = () =>
      readdirSync("/sys/class/nvme").some((controller) => {
        try {
          return readFileSync(`/sys/class/nvme/${controller}/serial`, "utf8").includes("HOT1");
        } catch {
          // It has gone since the folder was read.
          return false;
        }
      });
    // That it takes five seconds at most is shown on a clock that doesn't jump, beside the monitor.
    const noticed = async (there: boolean): Promise<void> => {
      await until(async () => (kernelHas() === there ? true : undefined), 60_000, "the kernel does not see it");
      const seen = async () => ((has() !== undefined) === there ? true : undefined);
      await until(seen, 60_000, "the monitor does not see it");
    };
    const plug = { verb: "plug", disk: "hot", kind: "nvme", serial: "HOT1", sizeMiB: 512 } as const;
    await askHost({ ...plug, slot: "rp1" });
    await noticed(true);
    const first = has();
    await askHost({ verb: "unplug", device: "hot" });
    await noticed(false);
    await askHost({ ...plug, slot: "rp2" });
    await noticed(true);
    expect(has()?.id).toBe(first?.id as string);
    expect(has()?.sysPath).not.toBe(first?.sysPath as string);
  });
});
