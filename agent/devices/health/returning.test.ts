/** A disk that was pulled out and is back is not condemned by the failure of the pool that its absence caused. */
import { expect, test } from "bun:test";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { machineWithDisk } from "../testing/machine.ts";
import { healthLimits } from "./limits.ts";
import { onlinePool } from "./testing/pool-info.ts";
import { WatchedDevice } from "./watched-device.ts";

const failed: PoolInfo = { ...onlinePool, state: "Failed", reason: "its device is not there" };
const passed = { protocol: "scsi", passed: true, warnings: [], notReported: [], problems: [] } as const;

async function pulledAndBack(): Promise<WatchedDevice> {
  const device = await machineWithDisk().machine.device("sda");
  const watched = new WatchedDevice(device, healthLimits);
  watched.read(passed, 0);
  watched.pool(failed, undefined, 10_000);
  expect(watched.health().state).toBe("Wearing");
  watched.isGone("/dev/sda is no longer there", 11_000, false);
  expect(watched.health().state).toBe("Gone");
  watched.isThere(device);
  watched.read(passed, 12_000);
  return watched;
}

test("while its pool is being opened again it is not failing, and once the pool was Online a failure counts again", async () => {
  const watched = await pulledAndBack();
  watched.pool(failed, undefined, 20_000);
  expect(watched.health().state).toBe("Healthy");
  watched.pool(onlinePool, undefined, 30_000);
  expect(watched.health().state).toBe("Healthy");
  watched.pool(failed, undefined, 40_000);
  expect(watched.health().state).toBe("Wearing");
});

test("a pool that does not open for a minute counts against it", async () => {
  const watched = await pulledAndBack();
  for (const atMs of [20_000, 50_000, 79_000]) {
    watched.pool(failed, undefined, atMs);
    expect(watched.health().state).toBe("Healthy");
  }
  watched.pool(failed, undefined, 80_000);
  expect(watched.health().state).toBe("Wearing");
});

test("failed operations counted under a path before the disk had it, or while it was pulled out, are not its own", async () => {
  const device = await machineWithDisk().machine.device("sda");
  const watched = new WatchedDevice(device, healthLimits);
  watched.read(passed, 0);
  watched.pool(onlinePool, 0, 1_000);
  // The dying disk that had this name had failed often.
  watched.isThere({ ...device, path: "/dev/sdb", name: "sdb" });
  watched.pool(onlinePool, 100, 11_000);
  expect(watched.health().state).toBe("Healthy");
  watched.isGone("/dev/sdb is no longer there", 12_000, false);
  watched.isThere({ ...device, path: "/dev/sdb", name: "sdb" });
  watched.pool(onlinePool, 120, 21_000);
  expect(watched.health().state).toBe("Healthy");
  watched.pool(onlinePool, 125, 31_000);
  expect(watched.health()).toMatchObject({ state: "Failing", reasons: ["5 reads or writes failed within a day"] });
});
