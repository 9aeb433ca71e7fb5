/** A disk that does not answer costs itself, not the look at the others, and not a thread more at each look. */
import { describe, expect, test } from "bun:test";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { DeviceMonitor } from "./monitor.ts";
import { patientNodes } from "./patient-nodes.ts";
import { FakeDisk, FakeNodes } from "./testing/fake-disk.ts";
import { machineWithDisk, mib } from "./testing/machine.ts";

/** Makes reads of `path` wait until they are let go. */
function hang(nodes: FakeNodes, path: string) {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const state = { reads: 0, closed: 0, release: () => release() };
  const open = nodes.openToLook.bind(nodes);
  nodes.openToLook = async (asked) => {
    const device = await open(asked);
    if (asked !== path) return device;
    return {
      ...device,
      read: async (into, offset) => {
        state.reads++;
        await held;
        await device.read(into, offset);
      },
      close: async () => void state.closed++,
    };
  };
  return state;
}

describe("a device that is busy", () => {
  test("is believed to be when it still is after some time, not while another process looks whether it is", async () => {
    const clock = new FakeClock();
    const nodes = new FakeNodes();
    const answers = [true, false];
    let asked = 0;
    nodes.isBusy = async () => answers[asked++] ?? true;
    const patient = patientNodes(nodes, clock);
    const first = patient.isBusy("/dev/sda");
    await clock.advance(1_000);
    expect(await first).toBe(false);
    expect(asked).toBe(2);
    const second = patient.isBusy("/dev/sda");
    await clock.advance(1_000);
    expect(await second).toBe(true);
    expect(asked).toBe(7);
    expect(clock.pending).toBe(0);
  });
});

describe("a device that does not answer", () => {
  test("fails after the limit, is not asked again until it has answered, and its descriptor lives as long as the read", async () => {
    const clock = new FakeClock();
    const nodes = new FakeNodes();
    nodes.set("/dev/sda", new FakeDisk(mib), "8:0");
    const held = hang(nodes, "/dev/sda");
    const patient = patientNodes(nodes, clock, 1_000);
    const device = await patient.openToLook("/dev/sda");
    const read = device.read(new Uint8Array(4096), 0).then(
      () => "read",
      (error) => error.code,
    );
    await clock.advance(999);
    expect(held.reads).toBe(1);
    await clock.advance(1);
    expect(await read).toBe("ETIMEDOUT");
    await device.close();
    expect(held.closed).toBe(0);
    await expect(patient.openToLook("/dev/sda")).rejects.toThrow("an earlier call is not answered yet");
    await expect(patient.isBusy("/dev/sda")).rejects.toThrow("an earlier call is not answered yet");
    held.release();
    await clock.advance(1);
    expect(held.closed).toBe(1);
    const again = await patient.openToLook("/dev/sda");
    await again.read(new Uint8Array(4096), 0);
    expect(held.reads).toBe(2);
    expect(clock.pending).toBe(0);
  });

  test("keeps no other from being noticed", async () => {
    const { machine } = machineWithDisk();
    const held = hang(machine.nodes, "/dev/sda");
    const { clock } = machine;
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const monitor = new DeviceMonitor({ ...machine.parts(), nodes: patientNodes(machine.nodes, clock), clock, log });
    monitor.start();
    await clock.advance(1_000);
    machine.plug("sdb", new FakeDisk(300 * mib));
    await clock.advance(15_000);
    const uses = () => monitor.devices().map(({ name, inUse }) => `${name} ${inUse.map(({ what }) => what).join()}`);
    expect(uses()).toEqual(["sda silent", "sdb "]);
    await clock.advance(600_000);
    expect(held.reads).toBe(1);
    held.release();
    await clock.advance(120_000);
    expect(uses()).toEqual(["sda ", "sdb "]);
    await monitor.stop();
  });
});
