/** Random commits on a run: what each supersedes is exactly what the old version named and the new does not, and stale acts never land. */
import { expect, test } from "bun:test";
import type { EcStripeSpec } from "@couchestor/common/crd/ec-stripe.ts";
import fc from "fast-check";
import { committedColumns, deleteRequests, supersededColumns } from "../acts/chunk-columns.ts";
import { nameOf } from "../sim/fake-chunks.ts";
import { alreadyCommitted, baseOf, type Commit, committedSpec, refusal } from "./commit-rules.ts";

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const order = { reason: "superseded", orderedBy: { epoch: 1, actNo: 0 } } as const;
const stripes = 5;

const blank: EcStripeSpec = {
  volumeRef: "v",
  volumeUuid: uuid(1),
  journalId: uuid(2),
  stripeId: 0,
  firstStripe: 0,
  stripeCount: stripes,
  lbaRange: { startBytes: 0, endBytes: stripes * 4096 },
  authority: "store",
  fencedEpoch: 0,
  generation: 0,
  encodeEpoch: 0,
  encodeAct: 0,
  throughSeq: 0,
  code: { family: "rs", k: 2, m: 1 },
  placements: [],
  exceptions: [],
};

function names(spec: EcStripeSpec): Set<string> {
  const all = committedColumns(spec, order).flatMap((c) =>
    [...deleteRequests(c)].flatMap((r) => r.names.map((n) => `${c.poolUuid} ${nameOf(n)}`)),
  );
  expect(new Set(all).size).toBe(all.length);
  return new Set(all);
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant("encode" as const),
    pools: fc.shuffledSubarray([1, 2, 3, 4, 5, 6], { minLength: 3, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant("columns" as const), shard: fc.nat(2), pool: fc.integer({ min: 1, max: 6 }) }),
  fc.record({
    kind: fc.constant("chunks" as const),
    chunks: fc.uniqueArray(fc.record({ stripe: fc.nat(stripes - 1), shard: fc.nat(2) }), {
      minLength: 1,
      maxLength: 4,
      selector: (c) => `${c.stripe}/${c.shard}`,
    }),
  }),
);

function commitOf(spec: EcStripeSpec, s: typeof step extends fc.Arbitrary<infer T> ? T : never, actNo: number): Commit {
  const act = { volumeUuid: spec.volumeUuid, epoch: 7, actNo };
  const base = baseOf(spec);
  const at = (shardIndex: number, pool: number) => ({
    shardIndex,
    poolUuid: uuid(100 + pool),
    nodeName: "n",
    poolName: "p",
    putEpoch: 7,
    putAct: actNo,
  });
  if (s.kind === "encode")
    return {
      kind: "encode",
      act,
      base,
      generation: spec.generation + 1,
      throughSeq: 0,
      locations: s.pools.map((pool, i) => at(i, pool)),
      checksum: undefined,
    };
  if (s.kind === "columns") return { kind: "columns", act, base, locations: [at(s.shard, s.pool)] };
  const column = (shard: number) =>
    spec.placements[0]?.shardLocations.find((l) => l.shardIndex === shard)?.poolUuid ?? uuid(101);
  return {
    kind: "chunks",
    act,
    base,
    exceptions: s.chunks.map(({ stripe, shard }) => ({
      stripe,
      shardIndex: shard,
      poolUuid: column(shard),
      putEpoch: 7,
      putAct: actNo,
      present: true,
    })),
  };
}

test("each commit supersedes exactly what is no longer named, lands once, and makes every older grant stale", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      let spec = committedSpec(blank, commitOf(blank, { kind: "encode", pools: [1, 2, 3] }, 1), "now");
      const older: Commit[] = [];
      for (const [i, s] of steps.entries()) {
        const commit = commitOf(spec, s, i + 2);
        older.push(commitOf(spec, s, 1000 + i));
        expect(refusal(spec, commit)).toBeUndefined();
        const after = committedSpec(spec, commit, "now");
        const before = names(spec);
        const now = names(after);
        const gone = supersededColumns(spec, after, order).flatMap((c) =>
          [...deleteRequests(c)].flatMap((r) => r.names.map((n) => `${c.poolUuid} ${nameOf(n)}`)),
        );
        expect(new Set(gone)).toEqual(before.difference(now));
        expect(now.size).toBe(stripes * 3);
        expect(alreadyCommitted(after, commit.act)).toBe(true);
        expect(refusal(after, commit)).toBeDefined();
        for (const stale of older) expect(refusal(after, stale)).toBeDefined();
        expect(refusal({ ...after, fencedEpoch: 8 }, { ...commit, base: baseOf(after) })).toContain("fenced");
        spec = after;
      }
    }),
    { numRuns: 300 },
  );
});
