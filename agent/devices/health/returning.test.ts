/** A disk that was pulled out and is back is not condemned by the failure of the pool that its absence caused. */
import { expect, test } from "bun:test";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { machineWithDisk } from "../testing/machine.ts";
import { healthLimits } from "./limits.ts";
import { WatchedDevice } from "./watched-device.ts";

const zero = "00000000-0000-0000-0000-000000000000";
const online: PoolInfo = {
  poolUuid: "11111111-1111-4111-8111-111111111111",
  poolName: "p1",
  kind: "block",
  labels: {},
  state: "Online",
  clusterUuid: zero,
  capacityBytes: 1,
  usedBytes: 0,
  freeBytes: 1,
  liveBytes: 0,
  chunkCount: 0,
};
const failed: PoolInfo = { ...online, state: "Failed", reason: "its device is not there" };
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
  watched.pool(online, undefined, 30_000);
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
