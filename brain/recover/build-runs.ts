/**
 * From the chosen version of every stripe to runs: split where neighbouring stripes differ in version, in whether they can be read (so that what is lost is
 * told by the stripe), or in more places than exceptions fit. Pure.
 */
import type { ShardException } from "@couchestor/common/api/maps.ts";
import { shardExceptionsMax } from "@couchestor/common/api/maps.ts";
import type { Choice } from "./choose-version.ts";
import type { Copy, Version } from "./chunk-census.ts";

export interface RecoveredRun {
  firstStripe: number;
  stripeCount: number;
  /** Undefined: no chunk of these stripes is left. They must read as errors, never as zeros. */
  version: Version | undefined;
  columns: Copy[];
  exceptions: ShardException[];
}

/** The runs of stripes `first` … `end`−1, none longer than the volume's own division. */
export function buildRuns(
  choices: ReadonlyMap<number, Choice>,
  versions: readonly Version[],
  extent: { stripes: number; stripesPerRun: number },
): RecoveredRun[] {
  const runs: RecoveredRun[] = [];
  for (let first = 0; first < extent.stripes; first += extent.stripesPerRun) {
    const end = Math.min(extent.stripes, first + extent.stripesPerRun);
    for (let start = first; start < end; ) {
      const { version, readable } = choices.get(start) ?? {};
      const alike = (choice: Choice | undefined) => choice?.version === version && choice?.readable === readable;
      let stop = start + 1;
      while (stop < end && alike(choices.get(stop))) stop++;
      runs.push(...ofOneVersion(choices, version === undefined ? undefined : versions[version], start, stop));
      start = stop;
    }
  }
  return runs;
}

function ofOneVersion(
  choices: ReadonlyMap<number, Choice>,
  version: Version | undefined,
  start: number,
  stop: number,
): RecoveredRun[] {
  if (!version) return [{ firstStripe: start, stripeCount: stop - start, version, columns: [], exceptions: [] }];
  const columns = commonColumns(choices, start, stop);
  const exceptions: ShardException[] = [];
  for (let stripe = start; stripe < stop; stripe++) {
    exceptions.push(...exceptionsOf(choices.get(stripe)?.copies ?? [], columns, stripe));
    if (exceptions.length > shardExceptionsMax) {
      const middle = (start + stop) >> 1;
      return [...ofOneVersion(choices, version, start, middle), ...ofOneVersion(choices, version, middle, stop)];
    }
  }
  return [{ firstStripe: start, stripeCount: stop - start, version, columns, exceptions }];
}

/** For each shard the copy that most stripes share. */
function commonColumns(choices: ReadonlyMap<number, Choice>, start: number, stop: number): Copy[] {
  const counts = new Map<number, Map<string, { copy: Copy; stripes: number }>>();
  for (let stripe = start; stripe < stop; stripe++) {
    for (const copy of choices.get(stripe)?.copies ?? []) {
      const ofShard = counts.get(copy.shardIndex) ?? new Map();
      counts.set(copy.shardIndex, ofShard);
      const known = ofShard.get(keyOf(copy)) ?? { copy, stripes: 0 };
      ofShard.set(keyOf(copy), known);
      known.stripes++;
    }
  }
  const taken = new Set<string>();
  return [...counts]
    .sort(([a], [b]) => a - b)
    .flatMap(([, ofShard]) => {
      const ranked = [...ofShard.values()].sort(
        (a, b) => b.stripes - a.stripes || (keyOf(a.copy) < keyOf(b.copy) ? -1 : 1),
      );
      const best = ranked.find(({ copy }) => !taken.has(copy.poolUuid)) ?? ranked[0];
      if (best) taken.add(best.copy.poolUuid);
      return best ? [best.copy] : [];
    });
}

function exceptionsOf(copies: readonly Copy[], columns: readonly Copy[], stripe: number): ShardException[] {
  const own = new Map(copies.map((copy) => [copy.shardIndex, copy]));
  return columns.flatMap((column) => {
    const copy = own.get(column.shardIndex);
    if (copy && keyOf(copy) === keyOf(column)) return [];
    const { shardIndex, poolUuid, putEpoch, putAct } = copy ?? column;
    return [{ stripe, shardIndex, poolUuid, putEpoch, putAct, present: copy !== undefined }];
  });
}

const keyOf = (copy: Copy): string => `${copy.poolUuid}/${copy.putEpoch}/${copy.putAct}`;
