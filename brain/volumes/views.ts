/** Volumes, runs and nodes as people and the command line see them. */
import type { NodeView, StripeView, VolumeView } from "@couchestor/common/api/admin.ts";
import { shardCount } from "@couchestor/common/code/code.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { heldText } from "./edited-runs.ts";
import { gapsOf, stripesIn } from "./gaps.ts";
import type { RunEntry } from "./run-entry.ts";
import { runJudge } from "./run-judge.ts";
import { judgeRun } from "./run-shape.ts";
import type { Services } from "./services.ts";
import { runCounts } from "./volume-rules.ts";

type RunState = StripeView["state"];
const worstFirst: readonly VolumeView["health"][] = [
  "Unrecoverable",
  "Incomplete",
  "Held",
  "Degraded",
  "Healthy",
  "Unwritten",
];
const gapsShownMax = 16;

export function volumeView(services: Services, volume: EcVolume): VolumeView {
  const status = must(volume.status, "the volume's status");
  const entries = services.catalogue.runs.ofVolume(volume.spec.volumeUuid);
  const counts: Record<RunState, number> = { Unwritten: 0, Healthy: 0, Degraded: 0, Held: 0, Unrecoverable: 0 };
  const stateOf = liveStates(services);
  for (const entry of entries) counts[stateOf(entry)]++;
  const gaps = gapsOf(services, volume);
  const all = { ...counts, Incomplete: gaps.length };
  const expected = status.phase === "Deleting" ? 0 : runCounts(volume.spec).runs;
  return {
    name: volume.metadata.name,
    volumeUuid: volume.spec.volumeUuid,
    phase: status.phase,
    health: worstFirst.find((state) => all[state] > 0) ?? "Unwritten",
    sizeBytes: volume.spec.sizeBytes,
    code: volume.spec.code,
    stripeSizeBytes: volume.spec.stripeSizeBytes,
    stripesPerRun: volume.spec.stripesPerRun,
    runs: {
      total: Math.max(entries.length, expected),
      written: entries.filter((entry) => entry.generation > 0).length,
      healthy: counts.Healthy,
      degraded: counts.Degraded,
      unrecoverable: counts.Unrecoverable,
      held: counts.Held,
      absent: gaps.length === 0 ? 0 : Math.max(0, expected - entries.length),
    },
    ...(gaps.length === 0 ? {} : { uncovered: { stripes: stripesIn(gaps), ranges: gaps.slice(0, gapsShownMax) } }),
    epoch: status.ownership.owner.epoch,
    ...(status.contentSha256 === undefined ? {} : { contentSha256: status.contentSha256 }),
    createdAt: must(volume.metadata.creationTimestamp, "the volume's creation time"),
  };
}

/** Runs' states at this moment; the stored one while a pool's standing is not known yet. What the shards of one that is held are by its map says nothing. */
export function liveStates(services: Services): (entry: RunEntry) => RunState {
  const judge = runJudge((pool) => services.standings.standing(pool));
  return (entry) => {
    if (services.catalogue.whyHeld(entry.volumeUuid, entry.name) !== undefined) return "Held";
    const health = judge(entry);
    return health.uncertain && entry.state !== "Unwritten" ? entry.state : health.state;
  };
}

/** The runs of one volume. Throws `NotFound`. */
export function stripeViews(services: Services, volumeName: string): StripeView[] {
  const volume = services.catalogue.volume(volumeName);
  return services.catalogue.runs.ofVolume(volume.spec.volumeUuid).map((entry) => stripeView(services, volume, entry));
}

function stripeView(services: Services, volume: EcVolume, entry: RunEntry): StripeView {
  const { inventory, standings } = services;
  const health = judgeRun(entry, (pool) => standings.standing(pool));
  const held = heldText(services, entry.volumeUuid, entry.name);
  const shards = entry.shardLocations.map((l) => {
    const host = inventory.host(l.poolUuid);
    return {
      shardIndex: l.shardIndex,
      nodeName: host?.node.name ?? l.nodeName,
      poolName: host?.pool.poolName ?? l.poolName,
      poolUuid: l.poolUuid,
      online: standings.standing(l.poolUuid) === "ok",
    };
  });
  const missing = health.missing.map((shardIndex) => {
    const shard = shards.find((s) => s.shardIndex === shardIndex);
    const why = shard
      ? shard.online
        ? "single chunks are missing"
        : standings.why(shard.poolUuid)
      : "no pool is known to hold it";
    return { shardIndex, nodeName: shard?.nodeName ?? "unknown", poolName: shard?.poolName ?? "unknown", why };
  });
  return {
    name: entry.name,
    volume: volume.metadata.name,
    runIndex: Math.floor(entry.firstStripe / volume.spec.stripesPerRun),
    firstStripe: entry.firstStripe,
    stripeCount: entry.stripeCount,
    state: liveStates(services)(entry),
    ...(held === undefined ? {} : { held }),
    code: entry.code,
    generation: entry.generation,
    placementVersion: entry.placementVersion,
    missing,
    shards,
    exceptions: entry.exceptions.length,
  };
}

/** The volume's runs that can't be read now, with the pools they miss, as one error; undefined if there are none. */
export function unrecoverableError(services: Services, volume: EcVolume): AppError | undefined {
  const bad = stripeViews(services, volume.metadata.name).filter((run) => run.state === "Unrecoverable");
  if (bad.length === 0) return undefined;
  const pools = new Map(bad.flatMap((run) => run.missing.map((m) => [`${m.nodeName}/${m.poolName}`, m.why] as const)));
  const stripes = bad.map((run) => `${run.firstStripe}–${run.firstStripe + run.stripeCount - 1}`);
  return new AppError(
    "Unrecoverable",
    `volume ${volume.metadata.name}: stripes ${stripes.slice(0, 8).join(", ")}${stripes.length > 8 ? " …" : ""} have fewer than the needed shards of ${shardCount(volume.spec.code)}; missing are pools ${[
      ...pools,
    ]
      .map(([pool, why]) => `${pool} (${why})`)
      .slice(0, 16)
      .join(", ")}`,
    {
      data: {
        stripes: stripes.slice(0, 64),
        stripesTotal: bad.reduce((sum, run) => sum + run.stripeCount, 0),
        pools: [...pools.keys()].slice(0, 64),
      },
    },
  );
}

export function nodeViews(inventory: Inventory): NodeView[] {
  return [...inventory.nodes()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((node) => {
      const facts = node.heartbeat ?? node.stored;
      if (!facts) return [];
      const state = node.state === "Unheard" ? (node.stored?.state ?? "Offline") : node.state;
      return [
        {
          nodeName: node.name,
          state,
          since: node.sinceIso,
          version: facts.version,
          codec: facts.codec,
          labels: node.heartbeat?.labels ?? {},
          clusterUrl: facts.clusterUrl,
          adminUrl: facts.adminUrl,
          pools: facts.pools,
          ...(node.heartbeat?.devices === undefined ? {} : { devices: node.heartbeat.devices }),
        },
      ];
    });
}
