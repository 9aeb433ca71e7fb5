/** Builds what a scenario says, and lets its migrations begin. */
import type { MigrationSpec } from "@couchestor/common/crd/migration.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { publish } from "../../testing/mayastor/environment.ts";
import type { TruthVolume } from "../../testing/mayastor/truth.ts";
import { ecVolumeLabel } from "../ports.ts";
import type { Scenario, VolumePlan } from "./scenario.ts";
import type { World } from "./world.ts";

const gib = 1024 ** 3;

/** Builds it, and lets the migrations begin at their times. */
export function stage(world: World, scenario: Scenario): void {
  const { cluster, prng } = world;
  scenario.nodes.forEach(({ hot, cold }, i) => {
    const more = () => ({ capacityBytes: 1024 * gib, otherBytes: prng.below(200) * gib });
    if (hot) cluster.addPool(`hot-${i + 1}`, `node-${i + 1}`, { tier: "hot" }, more());
    if (cold) addCold(world, i + 1, scenario.erasureCoded, more());
  });
  if (prng.below(3) === 0) cluster.addPool("plain-1", "node-plain", {});
  const volumes = scenario.volumes.map((plan) => addVolume(world, plan, scenario.erasureCoded));
  scenario.volumes.forEach((plan, i) => {
    const volume = volumes[i];
    if (volume === undefined) return;
    world.toCome += 1;
    world.clock.after(plan.startMs, () => {
      world.toCome -= 1;
      world.plane.catchUp();
      if (!cluster.volumes.has(volume.uuid)) return;
      const consented = scenario.allow.shrinkThenGrow ? 1 : 0;
      void world.migrate(`move-${i + 1}`, specOf(world, plan, volume, scenario.erasureCoded), consented);
    });
  });
  world.callFaults = scenario.callFaults;
  world.rivalPercent = scenario.rivalPercent;
  world.storeFaultPermille = scenario.storeFaultPermille;
}

function addCold(world: World, n: number, erasureCoded: boolean, more: object): void {
  const labels: Record<string, string> = { tier: "cold" };
  if (erasureCoded) labels[ecVolumeLabel] = `ec-${n}`;
  const code = erasureCoded ? { erasureCoded: { lossesMax: 2, healthy: true } } : {};
  world.cluster.addPool(`cold-${n}`, `node-${n}`, labels, { ...more, ...code });
}

function poolsOf(world: World, tier: string): string[] {
  return shuffled(
    world.prng,
    [...world.cluster.pools.keys()].filter((name) => name.startsWith(`${tier}-`)),
  );
}

function addVolume(world: World, plan: VolumePlan, erasureCoded: boolean): TruthVolume {
  const { cluster, prng } = world;
  const count = plan.promotes && erasureCoded ? 1 : plan.replicas;
  const used = poolsOf(world, plan.promotes ? "cold" : "hot").slice(0, count);
  const volume = cluster.addVolume(prng.uuid(), used, {
    sizeBytes: plan.sizeBytes,
    thin: plan.thin,
    poolInclusion: {
      "openebs.io/created-by": "operator-diskpool",
      ...(plan.odd === "pinned" ? { tier: "hot" } : plan.wantsTier ? { tier: "" } : {}),
    },
    selfHeal: plan.odd !== "noSelfHeal",
    snapshots: plan.odd === "snapshot" ? 1 : 0,
    affinityGroup: plan.odd === "affinityGroup" ? "db" : undefined,
  });
  if (plan.odd === "unpublished") return volume;
  const nodes = plan.publishOnReplica ? used.map((pool) => cluster.pool(pool).node) : [...cluster.nodes.keys()];
  publish(cluster, volume, nodes[prng.below(nodes.length)] ?? "node-1");
  return volume;
}

function specOf(world: World, plan: VolumePlan, volume: TruthVolume, erasureCoded: boolean): MigrationSpec {
  const { cluster } = world;
  const owned = [...volume.replicas.values()].filter((replica) => replica.owned);
  const [fromTier, toTier] = plan.promotes ? (["cold", "hot"] as const) : (["hot", "cold"] as const);
  const toPools = poolsOf(world, toTier);
  const count = volume.numReplicas;
  const toCode = erasureCoded && !plan.preservationMode;
  const finalReplicaCount = toCode ? (plan.promotes ? plan.replicas : 1) : count;
  return {
    volumeName: `pvc-${volume.uuid}`,
    volumeUuid: volume.uuid,
    mover: "Mayastor",
    fromTier,
    toTier,
    originalReplicaCount: count,
    finalReplicaCount,
    replicas: owned.map(({ uuid, pool }) => ({
      replicaUuid: uuid,
      fromPool: pool,
      fromNode: cluster.pool(pool).node,
      toPools,
    })),
    ...(toCode ? { ecPolicyRef: "cold-ec" } : {}),
    sizeBytes: volume.sizeBytes,
    reason: "a history",
    timeout: "30m",
    preservationMode: plan.preservationMode,
    abort: false,
  };
}

function shuffled<T>(prng: Prng, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: prng.u32() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
