import { describe, expect, test } from "bun:test";
import { migrationSpecSchema } from "@couchestor/common/crd/migration.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { type StoragePolicy, storagePolicySpecSchema } from "@couchestor/common/crd/storage-policy.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { decide } from "./decision.ts";
import { migrationOf } from "./launch.ts";
import { Launcher } from "./launcher.ts";
import type { PlanEntry, TieringPolicy } from "./model.ts";
import { sampleNowMs, samplePolicy, samplePool, sampleVolume, score } from "./testing/decision-samples.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";

const volumeUuid = "00000000-0000-4000-8000-000000000001";
const ec = { "couchestor/ec-volume": "ec-1" };
const pools = [
  ...[1, 2, 3, 4].map((n) => samplePool(`hot-${n}`, `node-${n}`, "hot")),
  ...[1, 2].map((n) => samplePool(`cold-${n}`, `node-${n}`, "cold")),
  samplePool("ec-4", "node-4", "cold", {
    labels: { tier: "cold", "openebs.io/created-by": "operator-diskpool", ...ec },
  }),
];
const on = (...names: string[]) => names.flatMap((name) => pools.filter((pool) => pool.name === name));
const policy: StoragePolicy = {
  apiVersion,
  kind: "StoragePolicy",
  metadata: { name: "p", uid: "u", generation: 7 },
  spec: storagePolicySpecSchema.parse({ ecPolicyRef: "rs", migrationTimeout: "2h" }),
};
const options = { timeout: "30m", preservationMode: false, earlier: [] };
const coded = (whole: boolean | undefined = true): Partial<TieringPolicy> => ({
  erasureCoded: { policyRef: "rs", volumeBytesMin: 1024, volumes: new Map([["ec-1", { policyRef: "rs", whole }]]) },
});

function entryOf(
  from: string[],
  iops: number,
  more: Partial<TieringPolicy> = {},
  volume: Parameters<typeof sampleVolume>[2] = {},
): PlanEntry {
  const plan = decide({
    policies: [samplePolicy("p", { watermarks: { high: 5000, warm: 0, low: 500 }, ...more })],
    volumes: [sampleVolume("pvc-1", on(...from), { uuid: volumeUuid, ...volume })],
    pools,
    heat: () => score(iops),
    active: [],
    maxConcurrent: 2,
    dryRun: false,
    nowMs: sampleNowMs,
  });
  return plan.policies[0]?.entries[0] as PlanEntry;
}

describe("a decision becomes a Migration", () => {
  test("with replicas, pools, figures and limits, and with a name that follows from it", () => {
    const entry = entryOf(["cold-1", "cold-2"], 9000.129);
    const migration = migrationOf(entry, policy, options);
    expect(migrationSpecSchema.safeParse(migration?.spec).success).toBe(true);
    expect(migration).toMatchObject({
      metadata: { annotations: { "storage.billyronks.io/policy-generation": "7" } },
      spec: {
        policyRef: "p",
        policyUid: "u",
        fromTier: "cold",
        toTier: "hot",
        originalReplicaCount: 2,
        finalReplicaCount: 2,
        triggerIOPS: 9000.13,
        timeout: "2h",
        replicas: [
          { fromPool: "cold-1", toPools: ["hot-3", "hot-1", "hot-2", "hot-4"] },
          { fromPool: "cold-2", toPools: ["hot-1", "hot-3", "hot-2", "hot-4"] },
        ],
      },
    });
    const again = migrationOf({ ...entry }, policy, options);
    expect(again?.metadata.name).toBe(migration?.metadata.name ?? "");
    expect(migration?.metadata.name).toMatch(/^pvc-1-hot-[0-9a-f]{10}$/);
    const later = { ...options, earlier: [sampleMigration("before", { end: sampleEnd("Succeeded") })] };
    expect(migrationOf(entry, policy, later)?.metadata.name).not.toBe(migration?.metadata.name ?? "");
  });

  test("nothing follows from unknown heat, nor from what waits", () => {
    const entry = entryOf(["cold-1"], 9000);
    expect(
      migrationOf({ ...entry, heat: { kind: "unknown", reason: "Stale", message: "old" } }, policy, options),
    ).toBeUndefined();
    expect(migrationOf({ ...entry, moves: [] }, policy, options)).toBeUndefined();
  });
});

describe("cold pools that stand on erasure coding", () => {
  test("take one replica instead of several", () => {
    const entry = entryOf(["hot-1", "hot-2", "hot-3"], 10, coded());
    expect(entry).toMatchObject({ action: "move", finalReplicaCount: 1, targetPools: ["ec-4"] });
    const spec = migrationOf(entry, policy, options)?.spec;
    expect(spec).toMatchObject({ originalReplicaCount: 3, finalReplicaCount: 1, ecPolicyRef: "rs" });
    expect(spec?.replicas.map(({ fromPool, toPools }) => [fromPool, toPools])).toEqual([
      ["hot-1", ["ec-4"]],
      ["hot-2", ["ec-4"]],
      ["hot-3", ["ec-4"]],
    ]);
    expect(migrationSpecSchema.safeParse(spec).success).toBe(true);
  });

  test("are not used for small volumes, for another policy's volumes, nor while a stripe isn't known to be healthy", () => {
    const small = entryOf(["hot-3", "hot-4"], 10, coded(), { sizeBytes: 512 });
    expect(small).toMatchObject({ action: "move", finalReplicaCount: 2 });
    expect(small.targetPools).not.toContain("ec-4");
    for (const whole of [false, undefined]) {
      const volumes = new Map([["ec-1", { policyRef: "rs", whole }]]);
      const erasureCoded = { policyRef: "rs", volumeBytesMin: 1, volumes };
      expect(entryOf(["hot-1"], 10, { erasureCoded })).toMatchObject({ action: "refuse", reason: "NoUsablePool" });
    }
    const other = {
      policyRef: "other",
      volumeBytesMin: 1,
      volumes: new Map([["ec-1", { policyRef: "rs", whole: true }]]),
    };
    expect(entryOf(["hot-1"], 10, { erasureCoded: other })).toMatchObject({ action: "refuse", reason: "NoPools" });
  });

  test("are left with as many replicas as the volume had, each on a node of its own", () => {
    const entry = entryOf(["ec-4"], 9000, coded(), { replicaCountBefore: "3" });
    expect(entry).toMatchObject({ action: "move", finalReplicaCount: 3 });
    expect(entry.moves.map(({ toPool }) => toPool).sort()).toEqual(["hot-1", "hot-2", "hot-3"]);
    const spec = migrationOf(entry, policy, options)?.spec;
    expect(spec).toMatchObject({ originalReplicaCount: 1, finalReplicaCount: 3, replicas: [{ fromPool: "ec-4" }] });
    expect(entryOf(["ec-4"], 9000, coded(), { replicaCountBefore: "many" })).toMatchObject({
      action: "wait",
      reason: "AnnotationUnreadable",
    });
  });

  test("are not left for one single copy because nobody knows any more how many there were", () => {
    const entry = entryOf(["ec-4"], 9000, coded());
    expect(entry).toMatchObject({ action: "wait", reason: "AnnotationUnreadable", moves: [] });
    expect(entry.message).toContain("storage.billyronks.io/replica-count of PersistentVolume pvc-1 is missing");
    expect(entryOf(["ec-4"], 9000, coded(), { replicaCountBefore: "1" })).toMatchObject({ finalReplicaCount: 1 });
    expect(entryOf(["cold-1"], 9000, coded())).toMatchObject({ action: "move", finalReplicaCount: 1 });
  });

  test("one that got there half way is finished, with replicas that only leave", () => {
    const entry = entryOf(["ec-4", "hot-1", "hot-2"], 10, coded());
    expect(entry).toMatchObject({ action: "move", reason: "FinishMixed", finalReplicaCount: 1 });
    expect(entry.moves.map(({ fromPool, toPool }) => [fromPool, toPool])).toEqual([
      ["hot-1", "ec-4"],
      ["hot-2", "ec-4"],
    ]);
  });
});

describe("the launcher", () => {
  const world = () => {
    const made: string[] = [];
    const counts: [string, number][] = [];
    const state: { fail: AppError | undefined } = { fail: undefined };
    const clock = new FakeClock(sampleNowMs);
    const store = {
      create: async (_: unknown, object: { metadata: { name: string } }) => {
        if (state.fail !== undefined) throw state.fail;
        if (made.includes(object.metadata.name)) throw new AppError("AlreadyExists", "is there");
        made.push(object.metadata.name);
        return object as never;
      },
    };
    const deps = {
      clock,
      store,
      decided: () => undefined,
      noteReplicaCount: async (name: string, count: number) => void counts.push([name, count]),
    };
    return { made, counts, state, clock, launcher: new Launcher(deps as never, "30m") };
  };

  test("makes one Migration of a decision that is looked at twice, and counts it before the cache shows it", async () => {
    const { made, clock, launcher } = world();
    const entry = entryOf(["cold-1"], 9000);
    expect(await launcher.launch(entry, policy, options)).toBe(true);
    expect(await launcher.launch(entry, policy, options)).toBe(false);
    expect(made).toHaveLength(1);
    const [name = ""] = made;
    expect(launcher.withMade([])).toMatchObject([{ name, volumeUuid, end: undefined }]);
    const shown = [sampleMigration(name, { end: sampleEnd("Succeeded") })];
    expect(launcher.withMade(shown)).toEqual(shown);
    expect(launcher.withMade([])).toEqual([]);
    await launcher.launch(entryOf(["cold-2"], 9000, {}, { uuid: "two" }), policy, options);
    await clock.advance(200_000);
    expect(launcher.withMade([])).toEqual([]);
  });

  test("counts one that may have been made, and not one that was refused", async () => {
    const { state, launcher } = world();
    state.fail = new AppError("InvalidArgument", "no");
    await expect(launcher.launch(entryOf(["cold-1"], 9000), policy, options)).rejects.toThrow("no");
    expect(launcher.withMade([])).toEqual([]);
    state.fail = new AppError("Timeout", "no answer");
    await expect(launcher.launch(entryOf(["cold-1"], 9000), policy, options)).rejects.toThrow("no answer");
    expect(launcher.withMade([])).toHaveLength(1);
  });

  test("writes down how many replicas there were before one becomes enough, and not in the middle of it", async () => {
    const { counts, launcher } = world();
    await launcher.launch(entryOf(["hot-1", "hot-2", "hot-3"], 10, coded()), policy, options);
    await launcher.launch(entryOf(["ec-4", "hot-1"], 10, coded(), { replicaCountBefore: "3" }), policy, options);
    await launcher.launch(entryOf(["cold-1", "cold-2"], 9000), policy, options);
    expect(counts).toEqual([["pvc-1", 3]]);
  });
});
