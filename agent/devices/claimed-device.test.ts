/** A pool on `device:ID` opens on the disk that its label says, wherever it is plugged in, and on no other. */
import { expect, test } from "bun:test";
import { deviceInfoSchema } from "@couchestor/common/api/devices.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { claim } from "./claim.ts";
import { planClaim } from "./claim-plan.ts";
import { claimedDevice } from "./claimed-device.ts";
import { reportedDevices } from "./device-info.ts";
import { FakeDisk } from "./testing/fake-disk.ts";
import { type Machine, machineWithDisk, mib, order, poolUuid } from "./testing/machine.ts";

const id = "wwn-0x5000c50000000061";

async function claimed(): Promise<{ machine: Machine; disk: FakeDisk }> {
  const made = machineWithDisk();
  const device = await made.machine.device("sda");
  await claim(made.machine.parts(), device, planClaim(device, order(), poolUuid), { wipe: false });
  return made;
}

async function opened(
  machine: Machine,
  more: { path?: string; poolName?: string; nodeName?: string } = {},
): Promise<string> {
  const wanted = { path: `device:${id}`, poolName: "fast", nodeName: "n1", ...more };
  try {
    return (await claimedDevice(machine.parts(), wanted)).path;
  } catch (error) {
    if (error instanceof AppError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

test("by id and by label, under whatever name the disk has now", async () => {
  const { machine, disk } = await claimed();
  expect(await opened(machine)).toBe("/dev/sda");
  machine.unplug("sda");
  expect(await opened(machine)).toContain("Unavailable: pool fast: device wwn-0x5000c50000000061 is not there");
  machine.plug("sda", new FakeDisk(300 * mib), { wwid: "naa.5000c5000000beef" });
  machine.plug("sdq", disk, { wwid: "naa.5000c50000000061" });
  expect(await opened(machine)).toBe("/dev/sdq");
  expect(await opened(machine, { path: `device:pool-${poolUuid}` })).toBe("/dev/sdq");
});

test("looking for it, as often as it is tried while it is away, takes nobody's disk, be it for a moment", async () => {
  const { machine } = await claimed();
  machine.plug("sdb", new FakeDisk(300 * mib));
  let asked = 0;
  machine.nodes.isBusy = async () => {
    asked++;
    return false;
  };
  for (const path of [`device:pool-${poolUuid}`, "device:pool-22222222-2222-4222-8222-222222222222", `device:${id}`])
    await opened(machine, { path });
  expect(asked).toBe(0);
});

test("what is not claimed, for another pool or node, mounted, or unreadable is refused with what to do", async () => {
  const fresh = machineWithDisk();
  expect(await opened(fresh.machine)).toBe(
    `FailedPrecondition: pool fast: device ${id} is not claimed: couchestor device claim ${id} --pool fast`,
  );
  const { machine } = await claimed();
  expect(await opened(machine, { poolName: "other" })).toContain(
    "If the disk was moved here on purpose: couchestor device claim",
  );
  expect(await opened(machine, { nodeName: "n2" })).toContain("--node n2 --move");
  machine.tree.set("/proc/self/mountinfo", "30 1 8:1552 / /srv rw - ext4 /dev/sda rw\n");
  expect(await opened(machine)).toContain("/dev/sda is mounted at /srv");
  machine.tree.set("/proc/self/mountinfo", "");
  machine.nodes.refusals.set("/dev/sda", "EACCES");
  expect(await opened(machine)).toContain("run as root");
});

test("what is reported of devices is what the brain accepts, those with pools first", async () => {
  const { machine } = await claimed();
  machine.plug("sdb", new FakeDisk(300 * mib));
  machine.tree.set("/proc/self/mountinfo", `30 1 8:1568 / /${"x".repeat(4000)} rw - ext4 /dev/sdb rw\n`);
  const health = { state: "Unknown" as const, reasons: ["not looked at yet"] };
  const watched = [await machine.device("sdb"), await machine.device("sda")].map((device) => ({ device, health }));
  const reported = reportedDevices(watched);
  expect(reported.map(({ path }) => path)).toEqual(["/dev/sda", "/dev/sdb"]);
  for (const device of reported) expect(deviceInfoSchema.parse(device)).toEqual(device);
});
