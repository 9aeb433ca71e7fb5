import { expect, test } from "bun:test";
import type { Heartbeat, HeartbeatAnswer } from "@couchestor/common/api/nodes.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { HeartbeatLoop } from "./heartbeat.ts";

function fixture() {
  const clock = new FakeClock();
  const lines: string[] = [];
  const sent: Heartbeat[] = [];
  const clusters: string[] = [];
  const state = { answer: { heartbeatEveryMs: 500 } as HeartbeatAnswer | AppError };
  const log = {
    debug() {},
    info: (_: object, m: string) => lines.push(m),
    warn: (_: object, m: string) => lines.push(m),
    error: (_: object, m: string) => lines.push(m),
  };
  const loop = new HeartbeatLoop({
    brain: {
      heartbeat: async (_, heartbeat) => {
        sent.push(heartbeat);
        if (state.answer instanceof AppError) throw state.answer;
        return state.answer;
      },
    },
    nodeName: "n1",
    clock,
    log,
    state: () => ({ pools: [], acts: [] }) as unknown as Heartbeat,
    onCluster: async (uuid) => {
      clusters.push(uuid);
    },
  });
  return { clock, lines, sent, clusters, state, loop };
}

test("beats at the pace the brain answers, and hands on its cluster", async () => {
  const { clock, sent, clusters, state, loop } = fixture();
  state.answer = { clusterUuid: "c", heartbeatEveryMs: 500 };
  loop.start();
  await clock.advance(2_600);
  expect(sent).toHaveLength(6);
  expect(clusters[0]).toBe("c");
  expect(loop.answeredMsAgo).toBeLessThan(500);
  await loop.stop();
  await clock.advance(2_000);
  expect(sent).toHaveLength(6);
});

test("goes on while the brain is away, says so once, and says when it is back", async () => {
  const { clock, lines, sent, state, loop } = fixture();
  state.answer = new AppError("Unavailable", "refused");
  loop.start();
  await clock.advance(5_100);
  expect(sent.length).toBeGreaterThanOrEqual(5);
  expect(lines).toEqual(["the brain does not take heartbeats; trying on"]);
  expect(loop.failing).toBe("refused");
  state.answer = { heartbeatEveryMs: 500 };
  await clock.advance(1_100);
  expect(lines.at(-1)).toBe("the brain answers again");
  expect(loop.failing).toBeUndefined();
  await loop.stop();
});

test("a brain of another version is told of clearly, and a wild pace is bounded", async () => {
  const { clock, lines, sent, state, loop } = fixture();
  state.answer = new AppError("IncompatibleVersion", "protocol 1, this brain speaks 2");
  loop.start();
  await clock.advance(3_000);
  expect(lines).toEqual(["the brain refuses this agent's version: run the same release on both"]);
  state.answer = { heartbeatEveryMs: 0 };
  await clock.advance(1_500);
  const before = sent.length;
  await clock.advance(200);
  expect(sent.length - before).toBeLessThanOrEqual(11);
  await loop.stop();
});
