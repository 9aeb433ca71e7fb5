import { expect, test } from "bun:test";
import type { RunMap, VolumeMap } from "@couchestor/common/api/maps.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { MapCache } from "./map-cache.ts";

const volumeUuid = "22222222-2222-4222-8222-222222222222";
const zero = "00000000-0000-0000-0000-000000000000";
const limits = { freshMs: 1000, runsMax: 4, stripesPerQuery: 8 };

function fixture() {
  const clock = new FakeClock();
  const state = { asked: [] as string[], failure: undefined as AppError | undefined, generation: 1, runLength: 4 };
  const brain = {
    map: async (uuid: string, first: number, count: number): Promise<VolumeMap> => {
      state.asked.push(`${first}+${count}`);
      if (state.failure !== undefined) throw state.failure;
      const runs: RunMap[] = [];
      for (let at = first; at < first + count; at += state.runLength) {
        runs.push({
          firstStripe: at,
          stripeCount: state.runLength,
          code: { family: "rs", k: 4, m: 2 },
          generation: state.generation,
          encodeEpoch: 1,
          encodeAct: 1,
          throughSeq: 0,
          placementVersion: 1,
          shardLocations: [],
          exceptions: [],
        });
      }
      const volume = {
        name: "v",
        volumeUuid: uuid,
        journalId: zero,
        clusterUuid: zero,
        sizeBytes: 1,
        stripeSizeBytes: 4096,
        stripesPerRun: 4,
      };
      return { volume, runs, nodes: [] };
    },
  };
  return { clock, state, cache: new MapCache({ brain, clock, log: silentLogger() }, limits) };
}

test("one question serves neighbours and everybody who asks meanwhile, until it is old", async () => {
  const { clock, state, cache } = fixture();
  await Promise.all([cache.stripe(volumeUuid, 1), cache.stripe(volumeUuid, 7), cache.stripe(volumeUuid, 2)]);
  expect(state.asked).toEqual(["0+8"]);
  expect((await cache.stripe(volumeUuid, 6)).run.firstStripe).toBe(4);
  await clock.advance(1001);
  state.generation = 2;
  expect((await cache.stripe(volumeUuid, 6)).run.generation).toBe(2);
  expect(state.asked).toHaveLength(2);
  await cache.stripe(volumeUuid, 6, { maxAgeMs: 0 });
  expect(state.asked).toHaveLength(3);
});

test("the number of runs kept is bounded, and a run cut anew replaces the old ones", async () => {
  const { state, cache } = fixture();
  for (let stripe = 0; stripe < 400; stripe += 8) await cache.stripe(volumeUuid, stripe);
  expect(cache.size).toBe(4);
  state.runLength = 2;
  const view = await cache.stripe(volumeUuid, 397, { maxAgeMs: 0 });
  expect([view.run.firstStripe, view.run.stripeCount]).toEqual([396, 2]);
});

test("the last known map is used while the brain is away, not when it says that the volume is gone", async () => {
  const { clock, state, cache } = fixture();
  await cache.stripe(volumeUuid, 0);
  await clock.advance(60_000);
  state.failure = new AppError("Unavailable", "down");
  expect((await cache.stripe(volumeUuid, 3)).run.generation).toBe(1);
  await expect(cache.stripe(volumeUuid, 100)).rejects.toThrow("down");
  state.failure = new AppError("NotFound", "no such volume");
  await expect(cache.stripe(volumeUuid, 3)).rejects.toThrow("no such volume");
  state.failure = new AppError("Unavailable", "down");
  await expect(cache.stripe(volumeUuid, 3)).rejects.toThrow("down");
});
