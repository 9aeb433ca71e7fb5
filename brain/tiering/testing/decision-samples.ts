/** Random clusters for property tests of decisions. */
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import fc from "fast-check";
import type { DecisionInput } from "../decision-input.ts";
import { type Heat, unknown } from "../heat.ts";
import type { ActiveMove, TieredPool, TieredVolume, TieringPolicy } from "../model.ts";

const tierNames = ["hot", "warm", "cold"] as const;
export const sampleNowMs = 1_800_000_000_000;
const gib = 1024 ** 3;

export function samplePolicy(name: string, more: Partial<TieringPolicy> = {}): TieringPolicy {
  const tier = (value: string) => ({ matchLabels: { tier: value } });
  return {
    name,
    createdMs: 0,
    enabled: true,
    dryRun: false,
    preservationMode: false,
    watermarks: { high: 5000, warm: 2000, low: 500 },
    windowMs: 3_600_000,
    cooldownMs: 86_400_000,
    maxConcurrent: 2,
    storageClassName: "mayastor",
    volumeSelector: undefined,
    poolSelectors: { hot: tier("hot"), warm: tier("warm"), cold: tier("cold") },
    lastMoves: new Map(),
    problems: [],
    ...more,
  };
}

export function samplePool(name: string, nodeName: string, tier: string, more: Partial<TieredPool> = {}): TieredPool {
  return {
    name,
    nodeName,
    labels: { tier, "openebs.io/created-by": "operator-diskpool" },
    freeBytes: 100 * gib,
    ...more,
  };
}

export function sampleVolume(
  name: string,
  pools: readonly TieredPool[],
  more: Partial<TieredVolume> = {},
): TieredVolume {
  return {
    uuid: `uuid-${name}`,
    name,
    claim: { namespace: "default", name: `claim-${name}`, labels: {} },
    storageClassName: "mayastor",
    sizeBytes: 10 * gib,
    replicas: pools.map((pool, i) => ({ uuid: `replica-${name}-${i}`, poolName: pool.name, nodeName: pool.nodeName })),
    requiredPoolLabels: { "openebs.io/created-by": "operator-diskpool" },
    ...more,
  };
}

export const score = (iops: number): Heat => ({ kind: "score", iops, samples: 120, source: "test", ageMs: 5_000 });

/** A cluster, with the heat of each volume by uuid. */
export type SampleCluster = Omit<DecisionInput, "heat"> & { heats: Map<string, Heat> };

export function inputOf(cluster: SampleCluster): DecisionInput {
  return { ...cluster, heat: (_, volume) => cluster.heats.get(volume.uuid) ?? unknown("SeriesMissing", "no series") };
}

const pools: fc.Arbitrary<TieredPool[]> = fc
  .array(
    fc.record({
      node: fc.integer({ min: 1, max: 6 }),
      tier: fc.constantFrom("hot", "warm", "cold", "cold", "hot", "none"),
      free: fc.integer({ min: 0, max: 60 }),
      unusable: fc.integer({ min: 0, max: 9 }).map((n) => (n === 0 ? "its node is cordoned" : undefined)),
    }),
    { minLength: 2, maxLength: 14 },
  )
  .map((drawn) =>
    drawn.map(({ node, tier, free, unusable }, i) => {
      const why = unusable === undefined ? {} : { unusable };
      return samplePool(`pool-${i}`, `node-${node}`, tier, { freeBytes: free * gib, ...why });
    }),
  );

const policy = (index: number): fc.Arbitrary<TieringPolicy> =>
  fc
    .record({
      createdMs: fc.integer({ min: 0, max: 2 }),
      enabled: fc.integer({ min: 0, max: 5 }).map((n) => n > 0),
      dryRun: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
      maxConcurrent: fc.integer({ min: 1, max: 4 }),
      warm: fc.constantFrom(0, 2000),
      app: fc.constantFrom(undefined, "db", "web"),
      storageClassName: fc.constantFrom("mayastor", "mayastor", "other"),
      problems: fc.integer({ min: 0, max: 9 }).map((n) => (n === 0 ? ["lowWatermarkIOPS: wrong"] : [])),
    })
    .map(({ warm, app, ...drawn }) =>
      samplePolicy(`policy-${index}`, {
        ...drawn,
        watermarks: { high: 5000, warm, low: 500 },
        volumeSelector: app === undefined ? undefined : { matchLabels: { app } },
      }),
    );

const heat: fc.Arbitrary<Heat> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(0, 100, 500, 540, 800, 1900, 2000, 4400, 4600, 5000, 9000).map(score) },
  { weight: 1, arbitrary: fc.constant(unknown("Stale", "the latest sample came 900 s ago")) },
);

function volumes(all: readonly TieredPool[]): fc.Arbitrary<{ volume: TieredVolume; heat: Heat }[]> {
  const drawn = fc.record({
    picks: fc.array(fc.nat({ max: all.length - 1 }), { minLength: 1, maxLength: 3 }),
    app: fc.constantFrom("db", "web"),
    storageClassName: fc.constantFrom("mayastor", "mayastor", "mayastor", "other"),
    size: fc.integer({ min: 1, max: 40 }),
    last: fc.constantFrom(undefined, undefined, -90_000_000, -1_000, 5_000, "rubbish"),
    pinned: fc.constantFrom(undefined, undefined, undefined, "", ...tierNames),
    missing: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    heat,
  });
  return fc.array(drawn, { maxLength: 20 }).map((list) =>
    list.map(({ picks, app, size, last, pinned, missing, storageClassName, heat }, i) => {
      const onNodes = new Map(picks.map((pick) => [all[pick]?.nodeName, all[pick] as TieredPool]));
      const lastText = typeof last === "number" ? new Date(sampleNowMs + last).toISOString() : last;
      const made = sampleVolume(`pv-${i}`, [...onNodes.values()], {
        claim: { namespace: "default", name: `claim-${i}`, labels: { app } },
        storageClassName,
        sizeBytes: size * gib,
        ...(pinned === undefined ? {} : { requiredPoolLabels: { tier: pinned } }),
        ...(missing ? { replicas: undefined } : {}),
        ...(lastText === undefined ? {} : { lastMigration: lastText }),
      });
      return { volume: made, heat };
    }),
  );
}

/** Clusters of up to 14 pools, 4 policies and 20 volumes, with some migrations under way. */
export const clusters: fc.Arbitrary<SampleCluster> = pools.chain((all) =>
  fc
    .record({
      drawn: volumes(all),
      policies: fc
        .integer({ min: 1, max: 4 })
        .chain((n) => fc.tuple(...Array.from({ length: n }, (_, i) => policy(i)))),
      activeCount: fc.nat({ max: 2 }),
      maxConcurrent: fc.integer({ min: 1, max: 6 }),
      dryRun: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    })
    .map(({ drawn, policies, activeCount, maxConcurrent, dryRun }) => ({
      policies,
      pools: all,
      volumes: drawn.map(({ volume }) => volume),
      heats: new Map(drawn.map(({ volume, heat }) => [volume.uuid, heat])),
      active: drawn.slice(0, activeCount).map(({ volume }): ActiveMove => {
        return { policyName: "policy-0", volumeUuid: volume.uuid, toTier: "hot" satisfies Tier, toPools: ["pool-0"] };
      }),
      maxConcurrent,
      dryRun,
      nowMs: sampleNowMs,
    })),
);
