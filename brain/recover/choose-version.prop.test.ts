import { expect, test } from "bun:test";
import fc from "fast-check";
import { buildRuns } from "./build-runs.ts";
import { type Choice, chooseVersion } from "./choose-version.ts";
import type { Copy, Version } from "./chunk-census.ts";

const code = { family: "rs", k: 4, m: 2 } as const;
const journalId = "00000000-0000-4000-8000-000000000001";

const version = fc.record({
  generation: fc.integer({ min: 1, max: 4 }),
  encodeEpoch: fc.integer({ min: 1, max: 4 }),
  encodeAct: fc.integer({ min: 1, max: 3 }),
});
const scene = fc.record({
  versions: fc.uniqueArray(version, {
    minLength: 1,
    maxLength: 5,
    selector: (v) => `${v.generation}/${v.encodeEpoch}/${v.encodeAct}`,
  }),
  copies: fc.array(
    fc.record({
      version: fc.nat(4),
      shardIndex: fc.nat(5),
      pool: fc.nat(7),
      putEpoch: fc.integer({ min: 1, max: 3 }),
      putAct: fc.integer({ min: 1, max: 3 }),
    }),
    { maxLength: 40 },
  ),
});

function stripeOf(
  copies: { version: number; shardIndex: number; pool: number; putEpoch: number; putAct: number }[],
  versions: number,
): Map<number, Copy[]> {
  const found = new Map<number, Copy[]>();
  for (const { version: v, shardIndex, pool, putEpoch, putAct } of copies) {
    if (v >= versions) continue;
    found.set(v, [...(found.get(v) ?? []), { shardIndex, poolUuid: `pool-${pool}`, putEpoch, putAct }]);
  }
  return found;
}

test("the version taken has k shards, and no greater (encodeEpoch, generation) has", () => {
  fc.assert(
    fc.property(scene, ({ versions: shapes, copies }) => {
      const versions: Version[] = shapes.map((s) => ({ ...s, journalId, throughSeq: 0, code, placementVersion: 1 }));
      const found = stripeOf(copies, versions.length);
      const shards = (v: number) => new Set((found.get(v) ?? []).map((c) => c.shardIndex)).size;
      const readable = versions.map((_, v) => v).filter((v) => shards(v) >= 4);
      const choice = chooseVersion(versions, found);
      if (found.size === 0) return expect(choice).toBeUndefined();
      expect(choice?.readable).toBe(readable.length > 0);
      const taken = versions[choice?.version ?? -1];
      for (const v of choice?.readable ? readable : found.keys()) {
        const other = versions[v];
        if (!taken || !other) throw new Error("no version");
        const rank = (x: Version) => x.encodeEpoch * 1000 + x.generation;
        expect(rank(taken)).toBeGreaterThanOrEqual(rank(other));
      }
      for (const copy of choice?.copies ?? []) {
        const rivals = (found.get(choice?.version ?? -1) ?? []).filter((c) => c.shardIndex === copy.shardIndex);
        expect(
          rivals.every((r) => r.putEpoch < copy.putEpoch || (r.putEpoch === copy.putEpoch && r.putAct <= copy.putAct)),
        ).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test("the runs built cover every stripe once, hold one version each, and name for every stripe exactly the copies chosen", () => {
  fc.assert(
    fc.property(
      fc.array(scene, { minLength: 1, maxLength: 24 }),
      fc.integer({ min: 1, max: 8 }),
      (scenes, stripesPerRun) => {
        const shapes = scenes[0]?.versions ?? [];
        const versions: Version[] = shapes.map((s) => ({ ...s, journalId, throughSeq: 0, code, placementVersion: 1 }));
        const choices = new Map<number, Choice>();
        for (const [stripe, { copies }] of scenes.entries()) {
          const choice = chooseVersion(versions, stripeOf(copies, versions.length));
          if (choice) choices.set(stripe, choice);
        }
        const runs = buildRuns(choices, versions, { stripes: scenes.length, stripesPerRun });
        let next = 0;
        for (const run of runs) {
          expect(run.firstStripe).toBe(next);
          expect(Math.floor(run.firstStripe / stripesPerRun)).toBe(
            Math.floor((run.firstStripe + run.stripeCount - 1) / stripesPerRun),
          );
          next += run.stripeCount;
          for (let stripe = run.firstStripe; stripe < next; stripe++) {
            const choice = choices.get(stripe);
            expect(run.version).toBe(choice ? versions[choice.version] : undefined);
            for (let shard = 0; shard < 6; shard++) {
              const exception = run.exceptions.find((e) => e.stripe === stripe && e.shardIndex === shard);
              const named = exception
                ? exception.present
                  ? exception
                  : undefined
                : run.columns.find((c) => c.shardIndex === shard);
              const chosen = choice?.copies.find((c) => c.shardIndex === shard);
              expect(named && [named.poolUuid, named.putEpoch, named.putAct]).toEqual(
                chosen && [chosen.poolUuid, chosen.putEpoch, chosen.putAct],
              );
            }
          }
        }
        expect(next).toBe(scenes.length);
      },
    ),
    { numRuns: 200 },
  );
});
