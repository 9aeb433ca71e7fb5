import { expect, test } from "bun:test";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import type { CacheState } from "./caches.ts";
import { Readiness, readinessApp } from "./readiness.ts";

function make(more: { cache?: Partial<CacheState>; api?: () => Promise<void>; prometheus?: () => Promise<void> } = {}) {
  const clock = new FakeClock();
  const pings = { api: 0, prometheus: 0 };
  const cache = { kind: "policies", synced: true, objects: 1, staleMs: 0, ...more.cache };
  const readiness = new Readiness({
    clock,
    caches: () => [cache],
    pingApiServer: async () => {
      pings.api += 1;
      await more.api?.();
    },
    pingPrometheus: async () => {
      pings.prometheus += 1;
      await more.prometheus?.();
    },
    leader: () => "brain-2",
    troubles: () => [],
  });
  return { readiness, clock, pings, cache };
}

const fails = async () => {
  throw new Error("can't be reached");
};

test("ready only with caches read and listening, the API server and Prometheus there; each says what is missing", async () => {
  expect(await make().readiness.report()).toEqual({
    ready: true,
    checks: { caches: "ok", apiServer: "ok", prometheus: "ok", brain: "ok", leader: "brain-2" },
  });
  for (const [more, check] of [
    [{ cache: { synced: false } }, { caches: "policies not read yet" }],
    [{ cache: { staleMs: 60_000 } }, { caches: "policies not heard of for long" }],
    [{ api: fails }, { apiServer: "can't be reached" }],
    [{ prometheus: fails }, { prometheus: "can't be reached" }],
  ] as const) {
    const { ready, checks } = await make(more).readiness.report();
    expect([ready, checks]).toEqual([false, expect.objectContaining(check)]);
  }
});

test("many probes at once ask once, and the answer is kept for some seconds", async () => {
  const { readiness, clock, pings } = make();
  await Promise.all(Array.from({ length: 20 }, () => readiness.report()));
  await readiness.report();
  expect(pings).toEqual({ api: 1, prometheus: 1 });
  await clock.advance(5_000);
  await readiness.report();
  expect(pings).toEqual({ api: 2, prometheus: 2 });
});

test("one that does not answer is given up, however long it goes on", async () => {
  const { readiness, clock } = make({ prometheus: () => new Promise(() => undefined) });
  const report = readiness.report();
  await clock.advance(3_000);
  expect((await report).checks["prometheus"]).toBe("no answer within 3000 ms");
});

test("probes: alive while it can answer at all, ready with 200 and not ready with 503; a stop shows at once", async () => {
  const { readiness } = make();
  const app = readinessApp(readiness);
  const status = async (path: string) => (await app.request(path)).status;
  expect([await status("/livez"), await status("/readyz"), await status("/healthz")]).toEqual([200, 200, 200]);
  readiness.stop();
  expect([await status("/livez"), await status("/readyz"), await status("/healthz")]).toEqual([200, 503, 503]);
  expect((await readiness.report()).checks["brain"]).toBe("stopping");
});
