import { expect, test } from "bun:test";
import type { LiveNode } from "../inventory/live-node.ts";
import { FakeFleet } from "../sim/fake-fleet.ts";
import { evacuationBrake } from "./brake.ts";
import { deviceCondition } from "./device-conditions.ts";
import { failingPools } from "./failing-pools.ts";

function nodeOf(change: (heartbeat: NonNullable<LiveNode["heartbeat"]>) => void): LiveNode {
  const fleet = new FakeFleet(1);
  const fake = fleet.node("n1");
  for (const pool of fake.pools.values()) pool.health = { state: "Failing", reasons: ["worn"] };
  const heartbeat = fleet.heartbeatOf(fake);
  change(heartbeat);
  return {
    name: "n1",
    state: "Online",
    heartbeat,
    stored: undefined,
    lastHeardMs: 0,
    offlineSinceMs: undefined,
    sinceIso: "",
    previousInstance: undefined,
    rivalInstance: undefined,
    vanished: new Map(),
  };
}
const names = (node: LiveNode): string[] => [...failingPools([node], new Map(), 5).values()].map((p) => p.poolName);

test("a pool is on a device by the device's label, or because its agent says so; a pool on nothing known is left alone", () => {
  expect(names(nodeOf(() => undefined))).toEqual(["p1", "p2"]);
  const folders = nodeOf(({ devices = [], pools }) => {
    for (const device of devices) delete device.label;
    if (pools[1]) pools[1].deviceId = "n1-p1";
  });
  expect(names(folders)).toEqual(["p2"]);
});

test("pools of silent nodes, failed pools, and devices that only wear are none of it", () => {
  expect(names({ ...nodeOf(() => undefined), state: "Offline" })).toEqual([]);
  const mixed = nodeOf(({ devices = [], pools }) => {
    if (pools[0]) pools[0].state = "Failed";
    if (devices[1]?.health) devices[1].health.state = "Wearing";
  });
  expect(names(mixed)).toEqual([]);
});

test("the brake: one is always separate, then the share decides; it names what they have in common", () => {
  const pool = (model?: string, firmware?: string) => ({ model, firmware });
  expect(evacuationBrake([pool("A")], 1, 0.2)).toBeUndefined();
  expect(evacuationBrake([pool("A"), pool("A")], 10, 0.2)).toBeUndefined();
  expect(evacuationBrake([pool("A", "1"), pool("A", "1"), pool("A", "1")], 10, 0.2)).toContain(
    "A with firmware 1: suspect",
  );
  expect(evacuationBrake([pool("A", "1"), pool("A", "2"), pool("A", "1")], 10, 0.2)).not.toContain("suspect");
  expect(evacuationBrake([pool("A"), pool("B"), pool("A")], 10, 1)).toBeUndefined();
});

test("the condition names the gravest first, and a node that reports no devices has none", () => {
  const none = nodeOf((heartbeat) => delete heartbeat.devices);
  expect(deviceCondition(none, [])).toBeUndefined();
  const gone = nodeOf(({ devices = [] }) => {
    if (devices[0]) devices[0].health = { state: "Gone", reasons: ["/dev/p1 is no longer there"] };
    if (devices[1]) devices[1].health = { state: "Wearing", reasons: ["91 % of its endurance is used"] };
  });
  expect(deviceCondition(gone, [])).toMatchObject({ status: "False", reason: "DeviceGone" });
  expect(deviceCondition(gone, [])?.message).toBe(
    "/dev/p1 (n1-p1) is gone: /dev/p1 is no longer there. /dev/p2 (n1-p2) is wearing: 91 % of its endurance is used",
  );
  const [pool] = failingPools([nodeOf(() => undefined)], new Map(), 0).values();
  if (!pool) throw new Error("no pool");
  const reasons = (["emptied", "emptying", "blocked", "held back"] as const).map(
    (phase) =>
      deviceCondition(
        nodeOf(() => undefined),
        [{ pool, phase }],
      )?.reason,
  );
  expect(reasons).toEqual(["DeviceEmptied", "DeviceFailing", "EvacuationBlocked", "EvacuationHeldBack"]);
});
