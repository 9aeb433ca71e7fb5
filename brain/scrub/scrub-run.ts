/** Scrub of one run with repair: check, put again what is bad, check again, until nothing bad is left or nothing more can be done. */
import type { ActDone, Finding } from "@couchestor/common/api/acts.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { ActRecord } from "../acts/act-record.ts";
import { planChunkRepair } from "../repair/chunk-repair.ts";
import { beginRebuild } from "../repair/rebuild-act.ts";
import { noteHealth } from "../volumes/run-status.ts";
import type { Services } from "../volumes/services.ts";
import { scrubRun } from "./scrub-act.ts";

export interface RunScrub {
  /** Of the first check. */
  findings: Finding[];
  truncated: boolean;
  chunksChecked: number;
  bytesRead: number;
  /** Bad chunks that a later check found good again. */
  repaired: number;
  /** Bad chunks that are still bad, or were not to be repaired. */
  unrepaired: number;
}

const roundsMax = 12;
const attemptsMax = 3;

export interface RunScrubOptions {
  deep: boolean;
  repair: boolean;
  signal: AbortSignal;
  onStart?: (record: ActRecord) => void;
}

/** Scrubs the run. Undefined if it was never written. Throws when it could not be checked. */
export async function scrubAndRepair(
  services: Services,
  volume: EcVolume,
  runName: string,
  options: RunScrubOptions,
): Promise<RunScrub | undefined> {
  const first = await check(services, volume, runName, options);
  if (!first) return undefined;
  const result: RunScrub = {
    findings: first.findings ?? [],
    truncated: first.findingsTruncated ?? false,
    chunksChecked: first.counts.chunksRead,
    bytesRead: first.counts.bytesRead,
    repaired: 0,
    unrepaired: 0,
  };
  const found = new Set(result.findings.map(keyOf));
  let open = result.findings;
  for (let round = 0; options.repair && repairable(open).length > 0 && round < roundsMax; round++) {
    options.signal.throwIfAborted();
    if (!(await putAgain(services, volume, runName, repairable(open)))) break;
    const again = await check(services, volume, runName, options);
    if (!again) break;
    result.chunksChecked += again.counts.chunksRead;
    result.bytesRead += again.counts.bytesRead;
    open = again.findings ?? [];
    for (const finding of open) found.add(keyOf(finding));
    result.truncated ||= again.findingsTruncated ?? false;
  }
  result.unrepaired = new Set(open.map(keyOf)).size;
  result.repaired = found.size - result.unrepaired;
  await noteHealth(services, runName, undefined, { deep: options.deep });
  return result;
}

/**
 * What can be put again from the other shards: chunks that are gone or fail their checksums, and those that an audit named as not belonging to the rest.
 * The mover puts only what fits the stripe's digest, so a wrong guess of the audit changes nothing. An unreachable chunk is not known to be bad.
 */
function repairable(findings: readonly Finding[]): Finding[] {
  return findings.filter((f) => f.state !== "unreachable");
}

const keyOf = (f: Finding): string => `${f.stripe}/${f.shardIndex}`;

async function check(
  services: Services,
  volume: EcVolume,
  runName: string,
  options: RunScrubOptions,
): Promise<ActDone | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await scrubRun(services, volume, runName, options);
      if (!result?.stale) return result?.done;
    } catch (error) {
      if (!isAppError(error) || !error.retryable || attempt >= attemptsMax) throw error;
    }
    options.signal.throwIfAborted();
    if (attempt >= attemptsMax) return undefined;
  }
}

/** Rebuilds the bad chunks where they belong. False when nothing could be put. */
async function putAgain(
  services: Services,
  volume: EcVolume,
  runName: string,
  bad: readonly Finding[],
): Promise<boolean> {
  const run = await services.catalogue.freshRun(runName);
  if (!run) return false;
  const distinct = [...new Map(bad.map((f) => [keyOf(f), { stripe: f.stripe, shardIndex: f.shardIndex }])).values()];
  const plan = planChunkRepair(run.spec, distinct, (pool) => services.standings.standing(pool));
  if (!plan) return false;
  const { placed, only } = plan;
  try {
    const record = await beginRebuild(services, { volume, run, placed, ...(only ? { only } : {}) });
    return (await record.ended).answer.result === "committed";
  } catch (error) {
    services.context.log.warn({ run: runName, error: String(error) }, "bad chunks not put again");
    return false;
  }
}
