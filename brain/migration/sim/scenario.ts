/** The beginning of a history, drawn by its seed: which Mayastor, which pools and volumes, what is to be moved, what goes wrong. */
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { CallFault } from "../../testing/mayastor/call-faults.ts";
import { type MayastorSettings, mayastorSettings } from "../../testing/mayastor/settings.ts";
import type { MigrationAllowances } from "../settings.ts";
import { troubles } from "./disturb.ts";

/** What a history is about. `any`: all sorts of things; the others press on one thing, again and again. */
export const flavours = [
  "any",
  "quiet",
  "late",
  "lost",
  "calledOff",
  "rival",
  "kills",
  "spare",
  "sickCode",
  "labels",
  "shrink",
] as const;
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
  /** What an administrator has allowed. */
  allow: Partial<MigrationAllowances>;
}

/** What makes a volume one that is not simply moved. */
export const oddities = ["unpublished", "snapshot", "affinityGroup", "noSelfHeal", "pinned"] as const;

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
  /** From cold to hot; off an erasure-coded pool to as many replicas as `replicas` says. */
  promotes: boolean;
  odd?: (typeof oddities)[number] | undefined;
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
  const replicas = flavour === "shrink" ? 3 : flavour === "sickCode" ? 2 + prng.below(2) : 1 + prng.below(3);
  const split = minor === 9 || chance(30);
  const volumes = Array.from({ length: 1 + prng.below(3) }, (_, i) => ({
    replicas: i === 0 || flavour === "shrink" ? replicas : 1 + prng.below(replicas),
    sizeBytes: (1 + prng.below(32)) * gib,
    thin: chance(80),
    wantsTier: chance(70) || flavour === "labels",
    publishOnReplica: chance(80),
    preservationMode: chance(8) && flavour !== "shrink",
    startMs: prng.below(120_000),
    promotes: chance(20),
    odd: flavour === "any" && chance(8) ? oddities[prng.below(oddities.length)] : undefined,
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
    nodes: split
      ? splitNodes(prng, replicas)
      : mixedNodes(
          prng,
          replicas,
          volumes.some(({ preservationMode }) => preservationMode),
        ),
    volumes,
    quiet: flavour === "quiet",
    callFaults: noFaults,
    storeFaultPermille: 0,
    events: [],
    killsAfterEffects: [],
    rivalPercent: 0,
    erasureCoded: chance(15) && flavour !== "shrink",
    allow: flavour === "any" ? { snapshots: chance(20), ambiguousPlacement: chance(20) } : {},
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
    case "labels":
      return {
        settings: { version: { minor: 8, patch: 0 } },
        allow: { labelSteering: true },
        callFaults: { percent: 15, callOffPercent: 5 },
        killsAfterEffects: [1 + prng.below(40)],
      };
    case "shrink":
      return {
        settings: { version: { minor: 10, patch: 0 } },
        allow: { shrinkThenGrow: true },
        callFaults: { percent: 15, callOffPercent: 5 },
        killsAfterEffects: [1 + prng.below(40)],
        nodes: Array.from({ length: 3 }, () => ({ hot: true, cold: true })),
      };
    case "any":
      return {
        callFaults: { percent: [0, 0, 3, 10, 30][prng.below(5)] ?? 0, callOffPercent: prng.below(5) },
        storeFaultPermille: [0, 0, 5, 50][prng.below(4)] ?? 0,
        events: events(Object.keys(troubles), prng.below(6)),
        killsAfterEffects: prng.below(2) === 0 ? [] : [1 + prng.below(60)],
      };
  }
}

/** Both tiers on each node, which takes one replica: one node more than replicas at least, and twice as many where the old ones are kept. */
function mixedNodes(prng: Prng, replicas: number, keeps: boolean): Scenario["nodes"] {
  const least = keeps ? 2 * replicas : replicas + 1;
  return Array.from({ length: least + prng.below(3) }, () => ({ hot: true, cold: true }));
}

function splitNodes(prng: Prng, replicas: number): Scenario["nodes"] {
  const hot = replicas + prng.below(3);
  return Array.from({ length: hot + replicas + prng.below(2) }, (_, i) => ({ hot: i < hot, cold: i >= hot }));
}
