import { expect, test } from "bun:test";
import type { Heartbeat, HeartbeatAnswer, PoolInfo } from "@couchestor/common/api/nodes.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { HeartbeatLoop } from "./heartbeat.ts";

const cluster = "11111111-1111-4111-8111-111111111111";

function setUp(answer: () => HeartbeatAnswer) {
  const clock = new FakeClock();
  const pool = { clusterUuid: zeroUuid } as PoolInfo;
  const beatsAtMs: number[] = [];
  const loop = new HeartbeatLoop({
    brain: {
      heartbeat: async () => {
        beatsAtMs.push(clock.monotonicMs());
        return answer();
      },
    },
    nodeName: "n1",
    clock,
    log: silentLogger(),
    state: () => ({ pools: [pool] }) as unknown as Heartbeat,
    onCluster: async (uuid) => {
      pool.clusterUuid = uuid;
    },
  });
  return { clock, loop, beatsAtMs };
}

test("a fresh agent beats quickly until the brain has heard that its pools know their cluster, then at the brain's pace", async () => {
  let known: string | undefined;
  const { clock, loop, beatsAtMs } = setUp(() => ({
    heartbeatEveryMs: 1000,
    ...(known === undefined ? {} : { clusterUuid: known }),
  }));
  loop.start();
  await clock.advance(250);
  known = cluster;
  await clock.advance(2500);
  await loop.stop();
  expect(beatsAtMs).toEqual([0, 100, 200, 300, 400, 1400, 2400]);
});

test("a brain that fails is asked again, and stopping does not wait for the next beat", async () => {
  let down = true;
  const { clock, loop, beatsAtMs } = setUp(() => {
    if (down) throw new AppError("Unavailable", "down");
    return { heartbeatEveryMs: 500, clusterUuid: cluster };
  });
  loop.start();
  await clock.advance(1500);
  expect(loop.failing).toBe("down");
  expect(loop.answeredMsAgo).toBeUndefined();
  down = false;
  await clock.advance(600);
  expect(loop.failing).toBeUndefined();
  expect(beatsAtMs.slice(0, 3)).toEqual([0, 1000, 2000]);
  await loop.stop();
  expect(clock.pending).toBe(0);
});
