/** From a volume's census to the objects of the store and the report about it. Pure but for the names of pools. */
import type { RecoverReport } from "@couchestor/common/api/admin.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume, EcVolumeSpec } from "@couchestor/common/crd/ec-volume.ts";
import { newVolume, recoveredAnnotation, runObject, unwritten, volumeSpecOf } from "../volumes/volume-rules.ts";
import { buildRuns, type RecoveredRun } from "./build-runs.ts";
import { type Choice, chooseVersion } from "./choose-version.ts";
import type { VolumeCensus, VolumeFacts } from "./chunk-census.ts";

export interface RecoveredVolume {
  volume: EcVolume;
  runs: EcStripe[];
  report: RecoverReport["volumes"][number];
}

export interface PoolNames {
  host(poolUuid: string): { nodeName: string; poolName: string } | undefined;
}

const lostListedMax = 10_000;

/** Rebuilds one volume. `taken`: names in use already; a second volume of a name gets one with its uuid. */
export function recoverVolume(
  census: VolumeCensus,
  taken: Set<string>,
  pools: PoolNames,
  since: string,
): RecoveredVolume | undefined {
  const chosen = chooseFacts(census);
  if (!chosen) return undefined;
  const { facts, notes } = chosen;
  const name = nameFor(facts.name, census.volumeUuid, taken, notes);
  const spec = specOf(facts, census.volumeUuid);
  const volume = recoveredVolume(name, spec, facts, census);
  const stripes = Math.ceil(spec.sizeBytes / spec.stripeSizeBytes);
  const choices = new Map<number, Choice>();
  const report = {
    name,
    volumeUuid: census.volumeUuid,
    sizeBytes: spec.sizeBytes,
    runs: 0,
    stripes,
    degradedStripes: 0,
    ignoredVersions: 0,
    notes,
  };
  const lostStripes: number[] = [];
  let lost = 0;
  for (let stripe = 0; stripe < stripes; stripe++) {
    const choice = chooseVersion(census.versions, census.stripes.get(stripe) ?? new Map());
    if (choice) choices.set(stripe, choice);
    report.ignoredVersions += choice?.ignored ?? 0;
    if (!choice?.readable) {
      lost++;
      if (lostStripes.length < lostListedMax) lostStripes.push(stripe);
    } else if (choice.missing.length > 0) report.degradedStripes++;
  }
  if (lost > lostStripes.length) notes.push(`${lost} stripes are lost; the first ${lostStripes.length} are listed`);
  if (choices.size < stripes) {
    notes.push(
      `of ${stripes - choices.size} stripes there is no chunk: they are lost, or an import had not come to them`,
    );
  }
  if (census.corrupt > 0) notes.push(`${census.corrupt} chunks did not verify and were left out`);
  const recovered = buildRuns(choices, census.versions, { stripes, stripesPerRun: spec.stripesPerRun });
  if (mixesVersions(recovered, spec.stripesPerRun)) {
    notes.push("stripes of one run come from different encodings, so they may be from different moments");
  }
  const runs = recovered.map((run) => objectOf(volume, run, pools, since));
  return { volume, runs, report: { ...report, runs: runs.length, lostStripes } };
}

/** Whether stripes that were once encoded together now come from several acts. */
function mixesVersions(runs: readonly RecoveredRun[], stripesPerRun: number): boolean {
  const byRun = Map.groupBy(runs, (run) => Math.floor(run.firstStripe / stripesPerRun));
  return [...byRun.values()].some((parts) => new Set(parts.flatMap((part) => part.version ?? [])).size > 1);
}

function objectOf(volume: EcVolume, run: RecoveredRun, pools: PoolNames, since: string): EcStripe {
  const base = unwritten(volume, run.firstStripe, run.stripeCount);
  const { version } = run;
  if (!version) {
    // A generation without any shard: readers get an error that says so. Generation 0 would read as zeros.
    return runObject(volume, {
      ...base,
      generation: 1,
      placements: [{ version: 1, code: base.code, shardLocations: [], since }],
    });
  }
  const shardLocations: ShardLocation[] = run.columns.map((copy) => ({
    ...copy,
    nodeName: pools.host(copy.poolUuid)?.nodeName ?? "unknown",
    poolName: pools.host(copy.poolUuid)?.poolName ?? "unknown",
  }));
  return runObject(volume, {
    ...base,
    journalId: version.journalId,
    generation: version.generation,
    encodeEpoch: version.encodeEpoch,
    encodeAct: version.encodeAct,
    throughSeq: version.throughSeq,
    code: version.code,
    placements: [{ version: version.placementVersion, code: version.code, shardLocations, since }],
    exceptions: run.exceptions,
  });
}

function chooseFacts(census: VolumeCensus): { facts: VolumeFacts; notes: string[] } | undefined {
  const all = [...census.facts.values()].sort(
    (a, b) => b.encodeEpoch - a.encodeEpoch || b.generation - a.generation || b.chunks - a.chunks,
  );
  const best = all[0];
  if (!best) return undefined;
  const notes = all
    .slice(1)
    .map(
      ({ facts, chunks }) =>
        `${chunks} chunks state otherwise: name ${facts.name}, ${facts.sizeBytes} bytes, stripes of ${facts.stripeSizeBytes}, journal ${facts.journalId}`,
    );
  return { facts: best.facts, notes: notes.slice(0, 16) };
}

function specOf(facts: VolumeFacts, volumeUuid: string): EcVolumeSpec {
  return volumeSpecOf(
    {
      name: "recovered",
      sizeBytes: facts.sizeBytes,
      code: facts.code,
      stripeSizeBytes: facts.stripeSizeBytes,
      stripesPerRun: facts.stripesPerRun,
      importing: false,
    },
    volumeUuid,
  );
}

function recoveredVolume(name: string, spec: EcVolumeSpec, facts: VolumeFacts, census: VolumeCensus): EcVolume {
  const request = { name, sizeBytes: spec.sizeBytes, code: spec.code, importing: false };
  const volume = newVolume(request, spec, facts.journalId, zeroUuid);
  const { status } = volume;
  // `Ready` and the epoch floor are written with the volume: no later act may repeat an epoch that is on a disk [E3].
  const annotations = { ...volume.metadata.annotations, [recoveredAnnotation]: String(census.highestEpoch) };
  const metadata = { ...volume.metadata, annotations };
  return status
    ? { ...volume, metadata, status: { ...status, phase: "Ready", highestEpochSeen: census.highestEpoch } }
    : volume;
}

function nameFor(stated: string, volumeUuid: string, taken: Set<string>, notes: string[]): string {
  const short = volumeUuid.slice(0, 8);
  const valid = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(stated) && stated.length <= 50;
  let name = valid ? stated : `recovered-${short}`;
  if (!valid) notes.push(`its chunks state no usable name ("${stated}")`);
  if (taken.has(name)) {
    notes.push(`another volume is called ${name}`);
    name = `${name.slice(0, 50 - 9)}-${short}`;
  }
  taken.add(name);
  return name;
}
