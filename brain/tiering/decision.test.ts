import { describe, expect, test } from "bun:test";
import { decide } from "./decision.ts";
import type { DecisionInput } from "./decision-input.ts";
import { unknown } from "./heat.ts";
import type { PlanEntry, TieredPool, TieredVolume, TieringPolicy } from "./model.ts";
import { sampleNowMs, samplePolicy, samplePool, sampleVolume, score } from "./testing/decision-samples.ts";

const gib = 1024 ** 3;
const pools = ["hot", "warm", "cold"].flatMap((tier) =>
  [1, 2, 3].map((n) => samplePool(`${tier}-${n}`, `node-${n}`, tier)),
);
const on = (...names: string[]): TieredPool[] =>
  names.map((name) => pools.find((pool) => pool.name === name) as TieredPool);

interface Case {
  policy?: Partial<TieringPolicy>;
  volume?: Partial<TieredVolume>;
  at?: string[];
  iops?: number;
  input?: Partial<DecisionInput>;
}

/** What is decided for one volume of 10 GiB on `cold-1` with 6000 IOPS, but for what the case says. */
function decision({ policy, volume, at = ["cold-1"], iops = 6000, input }: Case = {}): PlanEntry {
  const plan = decide({
    policies: [samplePolicy("p", policy)],
    volumes: [sampleVolume("pv", on(...at), volume)],
    pools,
    heat: () => score(iops),
    active: [],
    maxConcurrent: 2,
    dryRun: false,
    nowMs: sampleNowMs,
    ...input,
  });
  const entry = plan.policies[0]?.entries[0];
  if (entry === undefined) throw new Error("no entry");
  return entry;
}

const ago = (ms: number): string => new Date(sampleNowMs - ms).toISOString();

describe("a decision says why", () => {
  test("to move: the figure, the limit, the pool and what is left there", () => {
    expect(decision()).toMatchObject({
      action: "move",
      reason: "Hot",
      target: "hot",
      message: "6000 IOPS, hot is at least 5000",
      moves: [{ fromPool: "cold-1", toPool: "hot-2", freeBytesAfter: 90 * gib }],
    });
  });

  test("to stay", () => {
    expect(decision({ at: ["hot-1"] })).toMatchObject({ action: "stay", reason: "OnTargetTier" });
    expect(decision({ iops: 1000 })).toMatchObject({ action: "stay", reason: "BetweenWatermarks" });
    expect(decision({ at: ["hot-1"], iops: 4600 })).toMatchObject({
      action: "stay",
      reason: "Hysteresis",
      message: "4600 IOPS, it leaves hot only below 4500, 10 % beyond 5000",
    });
    const silent = { heat: () => unknown("ExporterDown", "nothing is measured") };
    expect(decision({ at: ["hot-1"], input: silent })).toMatchObject({
      action: "stay",
      reason: "HeatUnknown",
      message: "heat unknown (ExporterDown): nothing is measured",
    });
  });

  test("that a volume cools down, by its annotation or by the policy's memory, whichever is later", () => {
    const hourMs = 3_600_000;
    expect(decision({ volume: { lastMigration: ago(2 * hourMs) } })).toMatchObject({
      action: "wait",
      reason: "Cooldown",
      notBeforeMs: sampleNowMs + 22 * hourMs,
    });
    const lastMoves = new Map([["pv", sampleNowMs - hourMs]]);
    const both = decision({ volume: { lastMigration: ago(30 * hourMs) }, policy: { lastMoves } });
    expect(both).toMatchObject({ reason: "Cooldown", notBeforeMs: sampleNowMs + 23 * hourMs });
    expect(both.message).toContain("cooling down for another 23h");
    expect(decision({ volume: { lastMigration: ago(24 * hourMs) } }).action).toBe("move");
    expect(decision({ volume: { lastMigration: ago(-hourMs) } }).message).toContain("is a clock wrong?");
    expect(decision({ volume: { lastMigration: "yesterday" } })).toMatchObject({
      action: "wait",
      reason: "AnnotationUnreadable",
    });
  });

  test("that a mixed volume is finished, in spite of cooldown and between the watermarks", () => {
    const mixed = decision({ at: ["cold-1", "hot-2"], iops: 1000, volume: { lastMigration: ago(1000) } });
    expect(mixed).toMatchObject({ tier: "mixed", action: "move", reason: "FinishMixed", target: "hot" });
    expect(mixed.moves.map(({ fromPool, toPool }) => [fromPool, toPool])).toEqual([["cold-1", "hot-3"]]);
    expect(decision({ at: ["cold-1", "cold-3", "hot-2"], iops: 1000 }).target).toBe("cold");
    const kept = { preservationMode: true };
    expect(decision({ at: ["cold-1", "hot-2"], policy: kept })).toMatchObject({ action: "stay", reason: "Preserved" });
  });

  test("that a replica on pools of no tier may move, and one of an unknown pool or of two tiers may not", () => {
    const bare = samplePool("bare", "node-9", "spare");
    const both = {
      hot: { matchLabels: { tier: "hot" } },
      warm: undefined,
      cold: { matchExpressions: [{ key: "tier", operator: "Exists" as const }] },
    };
    expect(
      decision({
        volume: { replicas: [{ uuid: "r", poolName: "bare", nodeName: "node-9" }] },
        input: { pools: [...pools, bare] },
      }),
    ).toMatchObject({ tier: "none", action: "move" });
    expect(decision({ at: ["hot-1"], iops: 0, policy: { poolSelectors: both } })).toMatchObject({
      reason: "TierUnknown",
      message: "tier unknown: pool hot-1 is selected for two tiers",
    });
    expect(decision({ volume: { replicas: [{ uuid: "r", poolName: undefined, nodeName: "node-1" }] } }).reason).toBe(
      "TierUnknown",
    );
    expect(decision({ volume: { replicas: undefined } }).message).toContain("has no volume uuid-pv");
  });

  test("that it can't be done: no pools, none usable, pinned, no spare node, no space", () => {
    const reason = (given: Case) => {
      const { action, reason, moves } = decision(given);
      expect([action, moves]).toEqual(["refuse", []]);
      return reason;
    };
    const without = (tier: string) => ({ pools: pools.filter((pool) => pool.labels["tier"] !== tier) });
    expect(reason({ input: without("hot") })).toBe("NoPools");
    const cordoned = { pools: pools.map((pool) => ({ ...pool, unusable: `node ${pool.nodeName} is cordoned` })) };
    expect(reason({ input: cordoned })).toBe("NoUsablePool");
    expect(decision({ input: cordoned }).message).toContain("hot-1: node node-1 is cordoned");
    const reversed = { pools: [...cordoned.pools].reverse() };
    expect(decision({ input: reversed }).message).toBe(decision({ input: cordoned }).message);
    expect(reason({ volume: { requiredPoolLabels: { tier: "cold" } } })).toBe("PinnedByTopology");
    expect(reason({ at: ["cold-1", "cold-2", "cold-3"] })).toBe("NoSpareNode");
    expect(reason({ volume: { sizeBytes: 101 * gib } })).toBe("NotEnoughSpace");
    expect(decision({ volume: { sizeBytes: 101 * gib } }).message).toContain("has 100 GiB free after what is promised");
  });

  test("that space is held back for migrations under way", () => {
    const active = [{ policyName: "p", volumeUuid: "uuid-other", toTier: "hot" as const, toPools: ["hot-2", "hot-3"] }];
    const other = sampleVolume("other", on("cold-3"), { sizeBytes: 95 * gib, storageClassName: "another" });
    const volumes = [sampleVolume("pv", on("cold-1")), other];
    expect(decision({ input: { active, volumes } })).toMatchObject({ action: "refuse", reason: "NotEnoughSpace" });
  });

  test("that a volume waits for its turn, with where it would go", () => {
    const active = [1, 2].map((n) => ({ policyName: "q", volumeUuid: `u${n}`, toTier: "hot" as const, toPools: [] }));
    expect(decision({ input: { active } })).toMatchObject({
      action: "wait",
      reason: "GlobalConcurrency",
      moves: [{ toPool: "hot-2" }],
    });
    const own = active.map((move) => ({ ...move, policyName: "p" }));
    expect(decision({ input: { active: own, maxConcurrent: 9 } })).toMatchObject({
      action: "wait",
      reason: "PolicyConcurrency",
    });
  });

  test("that a policy is invalid", () => {
    const problems = ["lowWatermarkIOPS: got 9, allowed is less than highWatermarkIOPS (5)"];
    expect(decision({ policy: { problems } })).toMatchObject({
      action: "refuse",
      reason: "PolicyInvalid",
      message: problems[0],
    });
  });
});

describe("policies", () => {
  test("of two that claim a volume the older has it, and the other is told which and how many", () => {
    const volumes = ["a", "b", "c", "d"].map((name) => sampleVolume(name, on("cold-1")));
    const policies = [samplePolicy("young", { createdMs: 2 }), samplePolicy("old", { createdMs: 1 })];
    const plan = decide({
      policies,
      volumes,
      pools,
      heat: () => score(0),
      active: [],
      maxConcurrent: 2,
      dryRun: false,
      nowMs: sampleNowMs,
    });
    expect(plan.policies.map(({ policy, watched }) => [policy.name, watched])).toEqual([
      ["old", 4],
      ["young", 0],
    ]);
    expect(plan.policies[1]?.contested).toEqual([{ winner: "old", volumes: 4, examples: ["a", "b", "c"] }]);
  });

  test("count what they watch, and name tiers without pools and pools in two tiers", () => {
    const tier = (value: string) => ({ matchLabels: { tier: value } });
    const selectors = {
      hot: tier("hot"),
      warm: tier("lukewarm"),
      cold: { matchExpressions: [{ key: "tier", operator: "NotIn" as const, values: ["warm", "none"] }] },
    };
    const volumes = [
      sampleVolume("a", on("hot-1")),
      sampleVolume("b", on("cold-1")),
      sampleVolume("c", on("cold-1", "warm-2")),
    ];
    const plan = decide({
      policies: [samplePolicy("p", { poolSelectors: selectors })],
      volumes,
      pools,
      heat: (_, { name }) => (name === "b" ? unknown("Stale", "x") : score(0)),
      active: [],
      maxConcurrent: 2,
      dryRun: false,
      nowMs: sampleNowMs,
    });
    expect(plan.policies[0]).toMatchObject({
      watched: 3,
      tiers: { hot: 0, warm: 0, cold: 1, mixed: 1, none: 0, unknown: 1 },
      unknown: 2,
      heatUnknown: 1,
      poolsInTwoTiers: ["hot-1", "hot-2", "hot-3"],
      emptyTiers: [{ tier: "warm", selector: "tier=lukewarm" }],
    });
  });
});
