/** The beginning of a history, drawn by its seed: which Mayastor, which pools and volumes, what is to be moved, what goes wrong. */
import type { MigrationSpec } from "@couchestor/common/crd/migration.ts";
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { CallFault } from "../../testing/mayastor/call-faults.ts";
import { publish } from "../../testing/mayastor/environment.ts";
import { type MayastorSettings, mayastorSettings } from "../../testing/mayastor/settings.ts";
import type { TruthVolume } from "../../testing/mayastor/truth.ts";
import { ecVolumeLabel } from "../ports.ts";
import { troubles } from "./disturb.ts";
import type { World } from "./world.ts";

/** What a history is about. `any`: all sorts of things; the others press on one thing, again and again. */
export const flavours = ["any", "quiet", "late", "lost", "calledOff", "rival", "kills", "spare", "sickCode"] as const;
export type Flavour = (typeof flavours)[number];

export interface Scenario {
  settings: Partial<MayastorSettings>;
  nodes: { hot: boolean; cold: boolean }[];
  volumes: VolumePlan[];
  /** Nothing goes wrong but what always does (old answers, late ones): every move must succeed. */
  quiet: boolean;
  callFaults: CallFaultPlan;
  storeFaultPermille: number;
  /** When and what; on which of the volumes. */
  events: { atMs: number; trouble: keyof typeof troubles; volume: number }[];
  /** Brains die after so many effects, one after the other. */
  killsAfterEffects: number[];
  /** Of a hundred cordons of pools that we set, how many a person sets a moment before. */
  rivalPercent: number;
  erasureCoded: boolean;
}

export interface CallFaultPlan {
  /** Of a hundred calls that change something; a quarter of that for reads. */
  percent: number;
  /** Which kinds; any if undefined. */
  kinds?: CallFault["kind"][] | undefined;
  /** Of a hundred faults, after how many the migration is called off at once. */
  callOffPercent: number;
}

export interface VolumePlan {
  replicas: number;
  sizeBytes: number;
  thin: boolean;
  /** Whether pools must have a tier, of whatever value. */
  wantsTier: boolean;
  publishOnReplica: boolean;
  preservationMode: boolean;
  startMs: number;
}

const gib = 1024 ** 3;
const eventsUntilMs = 12 * 60_000;
const noFaults: CallFaultPlan = { percent: 0, callOffPercent: 0 };

/** The history of a seed; of one flavour, or of whichever the seed draws. */
export function drawScenario(seed: number, wanted?: Flavour): Scenario {
  const prng = seededPrng(seed);
  const drawn = prng.below(100) < 50 ? "any" : (flavours[prng.below(flavours.length)] ?? "any");
  const flavour = wanted ?? drawn;
  const calm = drawCalm(prng, flavour);
  const press = pressure(prng, flavour, calm.volumes.length);
  return { ...calm, ...press, settings: { ...calm.settings, ...press.settings } };
}

/** A world in which nothing goes wrong. */
function drawCalm(prng: Prng, flavour: Flavour): Scenario {
  const chance = (percent: number): boolean => prng.below(100) < percent;
  const minor = chance(70) ? 10 + prng.below(3) : 9;
  const replicas = flavour === "sickCode" ? 2 + prng.below(2) : 1 + prng.below(3);
  const split = minor === 9 || chance(30);
  const volumes = Array.from({ length: 1 + prng.below(3) }, (_, i) => ({
    replicas: i === 0 ? replicas : 1 + prng.below(replicas),
    sizeBytes: (1 + prng.below(32)) * gib,
    thin: chance(80),
    wantsTier: chance(70),
    publishOnReplica: chance(80),
    preservationMode: chance(8),
    startMs: prng.below(120_000),
  }));
  const largestMs = flavour === "quiet" ? 200_000 : 5_000 + prng.below(chance(30) ? 600_000 : 90_000);
  return {
    settings: {
      version: { minor, patch: 0 },
      cachePeriodMs: 1_000 + prng.below(29_000),
      rebuildBytesPerSecond: (32 * gib * 1000) / largestMs,
      faultedChildWaitMs: 30_000 + prng.below(600_000),
      highAvailability: chance(70),
      rebuildsMax: chance(15) ? 1 + prng.below(3) : mayastorSettings.rebuildsMax,
    },
    nodes: split ? splitNodes(prng, replicas) : mixedNodes(prng, replicas),
    volumes,
    quiet: flavour === "quiet",
    callFaults: noFaults,
    storeFaultPermille: 0,
    events: [],
    killsAfterEffects: [],
    rivalPercent: 0,
    erasureCoded: chance(15),
  };
}

/** What goes wrong in it. */
function pressure(prng: Prng, flavour: Flavour, volumes: number): Partial<Scenario> {
  const events = (names: readonly string[], count: number, fromMs = 0, toMs = eventsUntilMs): Scenario["events"] =>
    Array.from({ length: count }, () => ({
      atMs: fromMs + prng.below(toMs - fromMs),
      trouble: names[prng.below(names.length)] ?? "killBrain",
      volume: prng.below(volumes),
    }));
  const slow: CallFaultPlan["kinds"] = ["late", "cut", "delayed"];
  switch (flavour) {
    case "quiet":
      return {};
    case "late":
      return { callFaults: { percent: 40, kinds: slow, callOffPercent: 0 } };
    case "lost":
      return { callFaults: { percent: 40, kinds: ["before", "after"], callOffPercent: 0 } };
    case "calledOff":
      return { callFaults: { percent: 40, kinds: [...slow, "after"], callOffPercent: 40 } };
    case "rival":
      return { rivalPercent: 30 };
    case "kills":
      return { killsAfterEffects: Array.from({ length: 12 }, () => 1 + prng.below(25)), storeFaultPermille: 20 };
    case "spare":
      return {
        events: events(["crashNode", "faultPool", "losePool", "moveTarget"], 3),
        settings: { faultedChildWaitMs: 20_000 },
      };
    case "sickCode":
      return { erasureCoded: true, events: events(["ecSick"], 1, 60_000, 240_000) };
    case "any":
      return {
        callFaults: { percent: [0, 0, 3, 10, 30][prng.below(5)] ?? 0, callOffPercent: prng.below(5) },
        storeFaultPermille: [0, 0, 5, 50][prng.below(4)] ?? 0,
        events: events(Object.keys(troubles), prng.below(6)),
        killsAfterEffects: prng.below(2) === 0 ? [] : [1 + prng.below(60)],
      };
  }
}

/** Both tiers on each node; one more node than replicas at least, as each node takes one. */
function mixedNodes(prng: Prng, replicas: number): Scenario["nodes"] {
  return Array.from({ length: replicas + 1 + prng.below(3) }, () => ({ hot: true, cold: true }));
}

function splitNodes(prng: Prng, replicas: number): Scenario["nodes"] {
  const hot = replicas + prng.below(3);
  return Array.from({ length: hot + replicas + prng.below(2) }, (_, i) => ({ hot: i < hot, cold: i >= hot }));
}

/** Builds it, and lets the migrations begin at their times. */
export function stage(world: World, scenario: Scenario): void {
  const { cluster, prng } = world;
  scenario.nodes.forEach(({ hot, cold }, i) => {
    const more = () => ({ capacityBytes: 1024 * gib, otherBytes: prng.below(200) * gib });
    if (hot) cluster.addPool(`hot-${i + 1}`, `node-${i + 1}`, { tier: "hot" }, more());
    if (cold) addCold(world, i + 1, scenario.erasureCoded, more());
  });
  if (prng.below(3) === 0) cluster.addPool("plain-1", "node-1", {});
  const volumes = scenario.volumes.map((plan) => addVolume(world, plan));
  scenario.volumes.forEach((plan, i) => {
    const volume = volumes[i];
    if (volume === undefined) return;
    world.toCome += 1;
    world.clock.after(plan.startMs, () => {
      world.toCome -= 1;
      world.plane.catchUp();
      if (!cluster.volumes.has(volume.uuid)) return;
      void world.migrate(`move-${i + 1}`, specOf(world, plan, volume, scenario.erasureCoded));
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

function addVolume(world: World, plan: VolumePlan): TruthVolume {
  const { cluster, prng } = world;
  const pools = shuffled(
    prng,
    [...cluster.pools.keys()].filter((name) => name.startsWith("hot-")),
  );
  const used = pools.slice(0, plan.replicas);
  const volume = cluster.addVolume(prng.uuid(), used, {
    sizeBytes: plan.sizeBytes,
    thin: plan.thin,
    poolInclusion: {
      "openebs.io/created-by": "operator-diskpool",
      ...(plan.wantsTier ? { tier: "" } : {}),
    },
  });
  const nodes = plan.publishOnReplica ? used.map((pool) => cluster.pool(pool).node) : [...cluster.nodes.keys()];
  publish(cluster, volume, nodes[prng.below(nodes.length)] ?? "node-1");
  return volume;
}

function specOf(world: World, plan: VolumePlan, volume: TruthVolume, erasureCoded: boolean): MigrationSpec {
  const { cluster, prng } = world;
  const owned = [...volume.replicas.values()].filter((replica) => replica.owned);
  const toPools = shuffled(
    prng,
    [...cluster.pools.keys()].filter((name) => name.startsWith("cold-")),
  );
  const count = volume.numReplicas;
  const toOne = erasureCoded && !plan.preservationMode;
  return {
    volumeName: `pvc-${volume.uuid}`,
    volumeUuid: volume.uuid,
    mover: "Mayastor",
    fromTier: "hot",
    toTier: "cold",
    originalReplicaCount: count,
    finalReplicaCount: toOne ? 1 : count,
    replicas: owned.map(({ uuid, pool }) => ({
      replicaUuid: uuid,
      fromPool: pool,
      fromNode: cluster.pool(pool).node,
      toPools,
    })),
    ...(toOne ? { ecPolicyRef: "cold-ec" } : {}),
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
