import { describe, expect, test } from "bun:test";
import { selects } from "@couchestor/common/crd/label-selector.ts";
import fc from "fast-check";
import { bySeniority } from "./claims.ts";
import { decide } from "./decision.ts";
import type { Plan, PlanEntry, TieredVolume, TieringPolicy } from "./model.ts";
import {
  clusters,
  inputOf,
  type SampleCluster,
  sampleNowMs,
  samplePolicy,
  samplePool,
  sampleVolume,
  score,
} from "./testing/decision-samples.ts";

const decided = (cluster: SampleCluster): Plan => decide(inputOf(cluster));
const entriesOf = (plan: Plan): PlanEntry[] => plan.policies.flatMap((policy) => policy.entries);
const policyOf = (cluster: SampleCluster, entry: PlanEntry): TieringPolicy => {
  const policy = cluster.policies.find(({ name }) => name === entry.policyName);
  if (policy === undefined) throw new Error(entry.policyName);
  return policy;
};

function holds(what: (cluster: SampleCluster, plan: Plan) => void, runs = 400): void {
  fc.assert(
    fc.property(clusters, (cluster) => what(cluster, decided(cluster))),
    { numRuns: runs },
  );
}

/** The volume as it is when the plan's moves have been made. */
function moved(entry: PlanEntry): TieredVolume {
  const by = new Map(entry.moves.map((move) => [move.replicaUuid, move]));
  const replicas = (entry.volume.replicas ?? []).map((replica) => {
    const move = by.get(replica.uuid);
    return move === undefined ? replica : { uuid: `${replica.uuid}'`, poolName: move.toPool, nodeName: move.toNode };
  });
  return { ...entry.volume, replicas };
}

describe("a plan", () => {
  test("has one entry, with a reason in words, for each volume that an enabled policy claims, and none for others", () => {
    holds((cluster, plan) => {
      const entries = entriesOf(plan);
      expect(new Set(entries.map(({ volume }) => volume.uuid)).size).toBe(entries.length);
      for (const volume of cluster.volumes) {
        const [oldest] = cluster.policies
          .filter((policy) => policy.enabled && policy.storageClassName === volume.storageClassName)
          .filter(
            (policy) => policy.volumeSelector === undefined || selects(policy.volumeSelector, volume.claim.labels),
          )
          .sort(bySeniority);
        const entry = entries.find((found) => found.volume === volume);
        expect(entry?.policyName).toBe(oldest?.name);
        if (entry !== undefined) expect(entry.message.length).toBeGreaterThan(10);
      }
    });
  });

  test("is the same in whatever order its input comes", () => {
    const shuffled = clusters.chain((cluster) =>
      fc
        .tuple(
          fc.shuffledSubarray([...cluster.policies], { minLength: cluster.policies.length }),
          fc.shuffledSubarray([...cluster.volumes], { minLength: cluster.volumes.length }),
          fc.shuffledSubarray([...cluster.pools], { minLength: cluster.pools.length }),
        )
        .map(([policies, volumes, pools]) => [cluster, { ...cluster, policies, volumes, pools }] as const),
    );
    fc.assert(
      fc.property(shuffled, ([a, b]) => expect(decided(b)).toEqual(decided(a))),
      { numRuns: 300 },
    );
  });

  test("moves nothing whose heat or tier is unknown, nothing of an invalid policy, nothing that is moving or cooling down", () => {
    holds((cluster, plan) => {
      const active = new Set(cluster.active.map(({ volumeUuid }) => volumeUuid));
      for (const entry of plan.moves) {
        expect(entry.heat.kind).toBe("score");
        expect(entry.tier).not.toBe("unknown");
        expect(policyOf(cluster, entry).problems).toEqual([]);
        expect(active.has(entry.volume.uuid)).toBe(false);
        const last = entry.volume.lastMigration;
        if (entry.tier === "mixed" || last === undefined) continue;
        expect(Date.parse(last) + policyOf(cluster, entry).cooldownMs).toBeLessThanOrEqual(sampleNowMs);
      }
    });
  });

  test("never goes beyond the limits of a policy or of all", () => {
    holds((cluster, plan) => {
      for (const dryRun of [true, false]) {
        const moves = plan.moves.filter((entry) => entry.dryRun === dryRun);
        expect(moves.length).toBeLessThanOrEqual(Math.max(0, cluster.maxConcurrent - cluster.active.length));
        for (const policy of cluster.policies) {
          const running = cluster.active.filter(({ policyName }) => policyName === policy.name).length;
          const own = moves.filter(({ policyName }) => policyName === policy.name).length;
          expect(own).toBeLessThanOrEqual(Math.max(0, policy.maxConcurrent - running));
        }
      }
    });
  });

  test("uses turns while there are any: who waits for one finds none left", () => {
    holds((cluster, plan) => {
      for (const entry of entriesOf(plan)) {
        const same = plan.moves.filter(({ dryRun }) => dryRun === entry.dryRun);
        if (entry.reason === "GlobalConcurrency") {
          expect(same.length + cluster.active.length).toBeGreaterThanOrEqual(cluster.maxConcurrent);
        }
        if (entry.reason === "PolicyConcurrency") {
          const own = [...same, ...cluster.active].filter(({ policyName }) => policyName === entry.policyName).length;
          expect(own).toBeGreaterThanOrEqual(policyOf(cluster, entry).maxConcurrent);
        }
      }
    });
  });

  test("puts replicas on usable pools of the target tier that the volume may use, never two on a node", () => {
    holds((cluster, plan) => {
      for (const entry of entriesOf(plan)) {
        if (entry.moves.length === 0) continue;
        const nodes = new Set((entry.volume.replicas ?? []).map(({ nodeName }) => nodeName));
        for (const move of entry.moves) {
          const pool = cluster.pools.find(({ name }) => name === move.toPool);
          expect(pool?.labels["tier"]).toBe(entry.target);
          expect(pool?.unusable).toBeUndefined();
          for (const [key, value] of Object.entries(entry.volume.requiredPoolLabels)) {
            if (value !== "") expect(pool?.labels[key]).toBe(value);
          }
          expect(nodes.has(move.toNode)).toBe(false);
          nodes.add(move.toNode);
          nodes.delete(move.fromNode);
        }
        const tiers = (moved(entry).replicas ?? []).map(
          ({ poolName }) => cluster.pools.find(({ name }) => name === poolName)?.labels["tier"],
        );
        expect(new Set(tiers)).toEqual(new Set([entry.target]));
      }
    });
  });

  test("promises no byte twice, with what running migrations still need held back", () => {
    holds((cluster, plan) => {
      for (const pool of cluster.pools) {
        const running = cluster.active
          .filter(({ toPools }) => toPools.includes(pool.name))
          .map(({ volumeUuid }) => cluster.volumes.find(({ uuid }) => uuid === volumeUuid)?.sizeBytes ?? 0);
        const promised = plan.moves
          .filter(({ dryRun }) => !dryRun)
          .flatMap((entry) =>
            entry.moves.filter(({ toPool }) => toPool === pool.name).map(() => entry.volume.sizeBytes),
          );
        if (promised.length === 0) continue;
        const sum = [...running, ...promised].reduce((total, bytes) => total + bytes, 0);
        expect(sum).toBeLessThanOrEqual(pool.freeBytes);
      }
    });
  });

  test("for real is the same whether others only look or not", () => {
    holds((cluster, plan) => {
      if (cluster.dryRun) return expect(plan.moves.every(({ dryRun }) => dryRun)).toBe(true);
      const looking = new Set(cluster.policies.filter(({ dryRun }) => dryRun).map(({ name }) => name));
      const blind = {
        ...cluster,
        policies: cluster.policies.map((policy) =>
          looking.has(policy.name) ? { ...policy, problems: ["x"] } : policy,
        ),
      };
      const real = (of: Plan) => of.moves.filter(({ dryRun }) => !dryRun);
      expect(real(plan)).toEqual(real(decided(blind)));
    });
  });

  test("comes to rest under a steady load: each volume moves once at most, and none stays mixed that could be finished", () => {
    fc.assert(
      fc.property(clusters, (start) => {
        let cluster: SampleCluster = { ...start, active: [], dryRun: false };
        const moves = new Map<string, number>();
        for (let round = 0; round < 40; round++) {
          const plan = decided(cluster);
          if (plan.moves.length === 0) {
            for (const entry of entriesOf(plan)) if (entry.tier === "mixed") expect(entry.action).not.toBe("wait");
            return;
          }
          const done = new Map(plan.moves.map((entry) => [entry.volume.uuid, moved(entry)]));
          for (const uuid of done.keys()) moves.set(uuid, (moves.get(uuid) ?? 0) + 1);
          expect(Math.max(...moves.values())).toBe(1);
          const freed = new Map<string, number>();
          for (const entry of plan.moves) {
            for (const { fromPool, toPool } of entry.moves) {
              freed.set(fromPool, (freed.get(fromPool) ?? 0) + entry.volume.sizeBytes);
              freed.set(toPool, (freed.get(toPool) ?? 0) - entry.volume.sizeBytes);
            }
          }
          cluster = {
            ...cluster,
            volumes: cluster.volumes.map((volume) => done.get(volume.uuid) ?? volume),
            pools: cluster.pools.map((pool) => ({ ...pool, freeBytes: pool.freeBytes + (freed.get(pool.name) ?? 0) })),
          };
        }
        throw new Error("no rest after 40 rounds");
      }),
      { numRuns: 200 },
    );
  });
});

describe("the order of moves", () => {
  test("is mixed volumes, then the hottest up, then the coldest down", () => {
    const pools = ["hot", "cold"].flatMap((tier) =>
      [1, 2, 3, 4].map((n) => samplePool(`${tier}-${n}`, `node-${n}`, tier)),
    );
    const on = (...names: string[]) =>
      names.map((name) => pools.find((pool) => pool.name === name) as (typeof pools)[0]);
    const volumes = [
      sampleVolume("a-cooling", on("hot-1")),
      sampleVolume("b-idle", on("hot-1")),
      sampleVolume("c-warmish", on("cold-1")),
      sampleVolume("d-hottest", on("cold-1")),
      sampleVolume("e-mixed", on("cold-1", "hot-2")),
    ];
    const heats = new Map([20, 10, 6000, 9000, 1000].map((iops, i) => [volumes[i]?.uuid ?? "", score(iops)]));
    const policies = [samplePolicy("p", { maxConcurrent: 9, watermarks: { high: 5000, warm: 0, low: 500 } })];
    const plan = decided({
      policies,
      pools,
      volumes,
      heats,
      active: [],
      maxConcurrent: 9,
      dryRun: false,
      nowMs: sampleNowMs,
    });
    expect(plan.moves.map(({ volume, target }) => `${volume.name} ${target}`)).toEqual([
      "e-mixed hot",
      "d-hottest hot",
      "c-warmish hot",
      "b-idle cold",
      "a-cooling cold",
    ]);
  });
});
