/** The list of devices follows what is plugged in and pulled out, within seconds, without waking disks that nothing happened to. */
import { describe, expect, test } from "bun:test";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import type { Device } from "./model.ts";
import { DeviceMonitor } from "./monitor.ts";
import { FakeDisk } from "./testing/fake-disk.ts";
import { type Machine, machineWithDisk, mib } from "./testing/machine.ts";

function monitored(machine: Machine) {
  const told: string[] = [];
  const log = {
    ...silentLogger(),
    debug: (fields: object, message: string) => void told.push(`${message}: ${(fields as { device: string }).device}`),
    info: (fields: object, message: string) =>
      void told.push(`${message}: ${(fields as Device & { device: string }).device}`),
    warn: (fields: object, message: string) =>
      void told.push(`${message}: ${(fields as Device & { device: string }).device}`),
  };
  const monitor = new DeviceMonitor({ ...machine.parts(), clock: machine.clock, log: log as never });
  const looked: string[] = [];
  const open = machine.nodes.openToLook.bind(machine.nodes);
  machine.nodes.openToLook = (path) => {
    looked.push(path);
    return open(path);
  };
  return { monitor, told, looked, names: () => monitor.devices().map(({ name }) => name) };
}

const sda = "wwn-0x5000c50000000061";

describe("device monitor", () => {
  test("a disk that is plugged in is there within five seconds, one that is pulled out is not", async () => {
    const { machine } = machineWithDisk();
    const { monitor, told, names } = monitored(machine);
    monitor.start();
    await machine.clock.advance(100);
    expect(names()).toEqual(["sda"]);
    machine.plug("sdb", new FakeDisk(300 * mib));
    await machine.clock.advance(5_000);
    expect(names()).toEqual(["sda", "sdb"]);
    machine.unplug("sda");
    await machine.clock.advance(5_000);
    expect(names()).toEqual(["sdb"]);
    expect(told).toEqual([
      "devices found: undefined",
      `a device is there: ${sda}`,
      "a device has appeared: wwn-0x5000c50000000062",
      `a device is gone: ${sda}`,
    ]);
    await monitor.stop();
  });

  test("only what is new or changed is opened; another disk under the same name is", async () => {
    const { machine } = machineWithDisk();
    machine.plug("sdb", new FakeDisk(300 * mib));
    const { monitor, looked, told } = monitored(machine);
    await monitor.look();
    expect(looked.splice(0)).toEqual(["/dev/sda", "/dev/sdb"]);
    for (let i = 0; i < 20; i++) {
      await machine.clock.advance(2_000);
      await monitor.look();
    }
    expect(looked).toEqual([]);
    machine.unplug("sdb");
    machine.plug("sdb", new FakeDisk(400 * mib), { wwid: "naa.5000c50000000abc" });
    await monitor.look();
    expect(looked).toEqual(["/dev/sdb"]);
    expect(told.slice(-2)).toEqual([
      "a device has appeared: wwn-0x5000c50000000abc",
      "a device is gone: wwn-0x5000c50000000062",
    ]);
  });

  test("a mount is seen at the next look at uses, and a rename keeps the identity", async () => {
    const { machine, disk } = machineWithDisk();
    const { monitor, told } = monitored(machine);
    await monitor.look();
    expect(monitor.devices()[0]?.inUse).toEqual([]);
    machine.tree.set("/proc/self/mountinfo", "30 1 8:1552 / /srv rw - ext4 /dev/sda rw\n");
    await machine.clock.advance(16_000);
    await monitor.look();
    expect(monitor.devices()[0]?.inUse[0]?.what).toBe("mounted");
    machine.unplug("sda");
    machine.plug("sdc", disk, { wwid: "naa.5000c50000000061" });
    await monitor.look();
    expect(monitor.devices().map(({ id, path }) => `${id} ${path}`)).toEqual([`${sda} /dev/sdc`]);
    expect(told.at(-1)).toBe(`a device has another name now: ${sda}`);
  });

  test("what is written to an idle disk is noticed, and so is that a pool appeared on it; writes to what is in use wake nobody", async () => {
    const { machine, disk } = machineWithDisk();
    const at = "/sys/devices/pci0000:00/0000:00:05.0/host0/target0:0:0/0:0:97:0/block/sda";
    const stat = (writes: number) => machine.tree.set(`${at}/stat`, `   10 0 80 1 ${writes} 0 8 1 0 1 1 0 0 0 0\n`);
    stat(0);
    const { monitor, looked } = monitored(machine);
    const pass = async (ms: number) => {
      await machine.clock.advance(ms);
      await monitor.look();
    };
    await monitor.look();
    await pass(2_000);
    disk.put(0, new TextEncoder().encode("XFSB"));
    stat(1);
    await pass(2_000);
    expect(monitor.devices()[0]?.inUse[0]?.what).toBe("xfs");
    // Taken by somebody who says nothing: asked again until he lets go.
    machine.nodes.busy.add(disk);
    stat(2);
    await pass(2_000);
    expect(monitor.devices()[0]?.inUse[0]?.what).toBe("opened");
    machine.nodes.busy.clear();
    await pass(15_000);
    expect(monitor.devices()[0]?.inUse[0]?.what).toBe("xfs");
    machine.tree.set("/proc/self/mountinfo", "30 1 8:1552 / /srv rw - xfs /dev/sda rw\n");
    await pass(15_000);
    await pass(2_000);
    looked.length = 0;
    for (let i = 0; i < 30; i++) {
      stat(10 + i);
      await pass(2_000);
    }
    expect(looked).toEqual([]);
  });

  test("a /sys that goes away empties the list with one warning, and devices return with it", async () => {
    const { machine } = machineWithDisk();
    const { monitor, told, names } = monitored(machine);
    await monitor.look();
    const block = machine.tree.entries.get("/sys/block/sda");
    machine.tree.set("/sys/block/sda", { dir: true });
    machine.tree.remove("/sys/block/sda");
    for (let i = 0; i < 3; i++) await monitor.look();
    expect(names()).toEqual([]);
    expect(told.filter((line) => line.startsWith("devices can't be looked at")).length).toBe(1);
    machine.tree.set("/sys/block/sda", block ?? { dir: true });
    await monitor.look();
    expect(names()).toEqual(["sda"]);
  });

  test("a look that fails, as without file descriptors to spare, takes no device for gone", async () => {
    const { machine } = machineWithDisk();
    const { monitor, told, names } = monitored(machine);
    await monitor.look();
    machine.tree.set("/sys/block", { error: "EMFILE" });
    for (let i = 0; i < 3; i++) {
      await machine.clock.advance(20_000);
      await monitor.look();
    }
    // Or from the second list on, of the one look.
    let lists = 0;
    machine.tree.set("/sys/block", { dir: true });
    machine.tree.before = (path) => {
      if (path === "/sys/block" && ++lists === 2) machine.tree.set("/sys/block", { error: "EMFILE" });
    };
    await machine.clock.advance(20_000);
    await monitor.look();
    machine.tree.before = () => undefined;
    expect(lists).toBe(2);
    expect(names()).toEqual(["sda"]);
    expect(told.filter((line) => line.includes("gone"))).toEqual([]);
    expect(told.filter((line) => line.startsWith("devices can't be looked at")).length).toBe(1);
    machine.tree.remove("/sys/block/sda");
    machine.tree.set("/sys/block", { dir: true });
    await machine.clock.advance(20_000);
    await monitor.look();
    expect(names()).toEqual([]);
  });
});
