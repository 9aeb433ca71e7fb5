/** The reads of one turn: the volume always; pools, nodes and the erasure-coded volumes under them when a step needs them. */
import type { MayastorFeatures } from "../mayastor/client.ts";
import type { RebuildHistory } from "../mayastor/model.ts";
import type { Journal } from "./journal.ts";
import { openStep } from "./journal.ts";
import { type Machine, needsCluster } from "./machine.ts";
import type { Memory } from "./memory.ts";
import { ecVolumeLabel, type MigrationDeps } from "./ports.ts";
import type { Seen } from "./settle.ts";
import { wantedPools } from "./standing.ts";
import type { Observation } from "./turn.ts";
import { serverVersion } from "./version.ts";
import { type ClusterView, clusterView, volumeView } from "./view.ts";

type Reads = Pick<Observation, "seen" | "settle" | "cluster" | "copiesByPool" | "rebuildProven">;

/** Reads what the turn needs. Throws the control plane's error; then nothing is known of this moment. */
export async function look(
  deps: MigrationDeps,
  machine: Machine,
  { journal, memory, features }: { journal: Journal; memory: Memory; features: () => Promise<MayastorFeatures> },
  signal: AbortSignal | undefined,
): Promise<Reads> {
  const { mayastor, clock } = deps;
  const sentMs = clock.monotonicMs();
  try {
    const volume = await mayastor.volume(journal.spec.volumeUuid, signal);
    const seen: Seen = volume === undefined ? "absent" : volumeView(volume);
    const settle = memory.tracker.observe(seen, sentMs);
    const rebuildProven = await proven(deps, machine, journal, seen, signal);
    if (!needsCluster(journal, settle, machine))
      return { seen, settle, cluster: undefined, copiesByPool: new Map(), rebuildProven };
    const { view, ageMs } = await clusterOf(deps, journal, memory, signal);
    const version = serverVersion(await features(), view, seen);
    const cluster = { view, version, ageMs };
    return { seen, settle, cluster, copiesByPool: await copiesByPool(deps, journal, seen, view), rebuildProven };
  } catch (error) {
    memory.tracker.missed();
    throw error;
  }
}

/** While one thing after the other is set or taken back, pools and nodes are not read for each. */
const clusterKeptMs = 10_000;

async function clusterOf(
  { mayastor, clock }: MigrationDeps,
  { status }: Journal,
  memory: Memory,
  signal: AbortSignal | undefined,
): Promise<{ view: ClusterView; ageMs: number }> {
  const nowMs = clock.monotonicMs();
  const kept = memory.cluster;
  const open = openStep(status);
  const steering = open?.name.startsWith("Steer") || open?.name === "ReleaseSteering";
  if (steering && kept?.step === open?.number && kept !== undefined && nowMs - kept.atMs < clusterKeptMs)
    return { view: kept.view, ageMs: Math.max(1, nowMs - kept.atMs) };
  const [pools, nodes] = await Promise.all([mayastor.pools(signal), mayastor.nodes(signal)]);
  const view = clusterView(pools.items, nodes.items);
  memory.cluster = steering && open !== undefined ? { step: open.number, view, atMs: nowMs } : undefined;
  return { view, ageMs: 0 };
}

/** The server's record of the latest rebuild of the replica that is followed, asked for when all else says that it is complete. */
async function proven(
  { mayastor }: MigrationDeps,
  { rules, settings }: Machine,
  { status }: Journal,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<boolean | undefined> {
  const open = openStep(status);
  if (open?.name !== "WaitForRebuild" || seen === "absent" || seen.target === undefined) return undefined;
  if (rules.unsoundness(seen, settings.allow.offlineRebuild) !== undefined) return undefined;
  return rebuildProven(await mayastor.rebuildHistory(seen.uuid, signal), open.intent["replica"] ?? "");
}

/** Whether the newest record of a replica's rebuild says that all of it was copied; undefined if there is none of it. */
export function rebuildProven(history: RebuildHistory | undefined, replicaUuid: string): boolean | undefined {
  const records = (history?.records ?? []).filter(({ childUri }) => childUri.includes(replicaUuid));
  const newest = records.reduce<(typeof records)[number] | undefined>(
    (latest, record) => (latest === undefined || (record.endTime ?? "") >= (latest.endTime ?? "") ? record : latest),
    undefined,
  );
  if (newest === undefined) return undefined;
  return newest.rebuildJobState === "Completed" && (newest.blocksRemaining ?? 0) === 0;
}

/** Pools that stand on an ECVolume: a replica there is worth one copy more than its parity shards while all stripes are verified. */
async function copiesByPool(
  { ecHealth }: MigrationDeps,
  { spec }: Journal,
  seen: Seen,
  view: ClusterView,
): Promise<ReadonlyMap<string, number>> {
  const names = new Set([
    ...wantedPools(spec),
    ...(seen === "absent" ? [] : seen.replicas.map(({ pool }) => pool ?? "")),
  ]);
  const copies = new Map<string, number>();
  for (const name of names) {
    const ecVolume = view.pools.get(name)?.labels[ecVolumeLabel];
    if (ecVolume === undefined) continue;
    // What can't be told is worth one.
    const standing = await ecHealth(ecVolume).catch(() => undefined);
    if (standing?.healthy === true) copies.set(name, standing.parityShards + 1);
  }
  return copies;
}
