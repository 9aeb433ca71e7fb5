/**
 * Placement of many stripes on one snapshot. Each shard goes to the emptier of two pools drawn at random in proportion to capacity: that keeps
 * the fullest pool within a few shards of the mean (with one draw alone it would be some standard deviations above), while the sets of pools
 * that share a stripe stay as many as possible, so that all pools take part in a rebuild.
 *
 * Failure domains are filled in levels: no domain takes a second shard while another could take its first. Where domains and nodes nest, that
 * is exact (the constraints form a laminar matroid); where they cross, augmenting paths make it so.
 */
import { shardCount } from "@couchestor/common/code/code.ts";
import type { PlacementRule } from "@couchestor/common/crd/ec-volume.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import { augment } from "./augment.ts";
import type { PlaceRequest } from "./place-request.ts";
import { placementError } from "./placement-error.ts";
import { RuleView } from "./rule-view.ts";
import { StripeLoad, shardsPerDomainMax } from "./stripe-load.ts";
import { TopologyIndex, type TopologySnapshot } from "./topology.ts";

export interface PlacedShard {
  shardIndex: number;
  poolUuid: string;
  nodeName: string;
  poolName: string;
}

/** Below this many pools it is cheaper to look at all than to draw and reject. */
const scannedPoolsMax = 64;
const drawsMax = 24;
const choices = 2;

export class Placer {
  readonly index: TopologyIndex;
  readonly #views = new Map<string, RuleView>();

  constructor(topology: TopologySnapshot) {
    this.index = new TopologyIndex(topology);
  }

  /** What `rule` sees; made once a rule. */
  view(rule: PlacementRule): RuleView {
    const key = JSON.stringify([rule.failureDomain, Object.entries(rule.poolSelector).sort()]);
    let view = this.#views.get(key);
    if (!view) {
      view = new RuleView(this.index, rule);
      this.#views.set(key, view);
    }
    return view;
  }

  /** Places the shards and counts their bytes, so that the next call sees them. Errors as `placeShards`; then nothing is counted. */
  place(request: PlaceRequest): PlacedShard[] {
    checkRequest(request);
    const view = this.view(request.rule);
    const load = new StripeLoad(view, request.code);
    for (const { poolUuid } of request.keep) {
      const kept = this.index.indexOf(poolUuid);
      if (kept !== undefined) load.add(kept);
    }
    const picked = pick(view, load, request, seededPrng(request.seed));
    if (picked.size < request.shardIndexes.length) throw placementError(view, request, picked.size);
    const shards = [...request.shardIndexes].sort((a, b) => a - b);
    return [...picked].map((number, i) => {
      this.index.addUsed(number, request.bytesPerShard);
      const { poolUuid, nodeName, poolName } = this.index.pool(number);
      return { shardIndex: shards[i] ?? -1, poolUuid, nodeName, poolName };
    });
  }

  /**
   * As `place`, but when there is room for some of the shards only, places the first ones of `shardIndexes` that fit and says in `shortage` why
   * the others do not: a stripe that lost two shards is safer with one of them back.
   */
  placeAsMany(request: PlaceRequest): { placed: PlacedShard[]; shortage?: AppError } {
    try {
      return { placed: this.place(request) };
    } catch (error) {
      if (!isAppError(error, "FailedPrecondition")) throw error;
      const placeable = Number(error.data["shardsPlaceable"]);
      if (placeable === 0) return { placed: [], shortage: error };
      const some = this.place({ ...request, shardIndexes: request.shardIndexes.slice(0, placeable) });
      return { placed: some, shortage: error };
    }
  }
}

function pick(view: RuleView, load: StripeLoad, request: PlaceRequest, prng: Prng): Set<number> {
  const picked = new Set<number>();
  const wanted = request.shardIndexes.length;
  const levels = shardsPerDomainMax(request.code);
  for (let level = 1; level <= levels; level++) {
    while (picked.size < wanted) {
      const pool = pickOne(view, load, request.bytesPerShard, level, prng);
      if (pool !== undefined) {
        picked.add(pool);
        load.add(pool);
      } else if (!view.crossing || !augment(view, load, picked, request.bytesPerShard, level)) {
        break;
      }
    }
  }
  return picked;
}

function pickOne(view: RuleView, load: StripeLoad, bytes: number, level: number, prng: Prng): number | undefined {
  if (load.domainsWith(level) >= view.domainNames.length) return undefined;
  if (view.eligible.length > scannedPoolsMax) {
    const drawn = emptiestDrawn(view, load, bytes, level, prng);
    if (drawn !== undefined) return drawn;
  }
  const admitted = view.eligible.filter((pool) => load.admits(pool, bytes, level));
  if (admitted.length === 0) return undefined;
  let best = weightedOne(view, admitted, prng);
  for (let i = 1; i < choices; i++) best = emptier(view, bytes, best, weightedOne(view, admitted, prng));
  return best;
}

/** The emptiest of the first few admitted pools of a bounded number of draws. */
function emptiestDrawn(view: RuleView, load: StripeLoad, bytes: number, level: number, prng: Prng): number | undefined {
  let best: number | undefined;
  for (let draw = 0, admitted = 0; draw < drawsMax && admitted < choices; draw++) {
    const pool = view.sample(prng);
    if (pool === best || !load.admits(pool, bytes, level)) continue;
    admitted++;
    best = best === undefined ? pool : emptier(view, bytes, best, pool);
  }
  return best;
}

function emptier(view: RuleView, bytes: number, a: number, b: number): number {
  return view.index.fill(b, bytes) < view.index.fill(a, bytes) ? b : a;
}

function weightedOne(view: RuleView, pools: readonly number[], prng: Prng): number {
  const capacity = (pool: number) => view.index.capacityBytes[pool] ?? 0;
  let rest = prng.float() * pools.reduce((sum, pool) => sum + capacity(pool), 0);
  for (const pool of pools) {
    rest -= capacity(pool);
    if (rest < 0) return pool;
  }
  return pools.at(-1) ?? -1;
}

function checkRequest({ code, keep, shardIndexes, bytesPerShard }: PlaceRequest): void {
  const count = shardCount(code);
  const seen = new Set<number>();
  for (const shard of [...keep.map(({ shardIndex }) => shardIndex), ...shardIndexes]) {
    if (!Number.isInteger(shard) || shard < 0 || shard >= count)
      throw invalid("shardIndexes", shard, `0 to ${count - 1}`);
    if (seen.has(shard)) throw invalid("shardIndexes", shard, "each shard once, kept or to be placed");
    seen.add(shard);
  }
  if (!Number.isSafeInteger(bytesPerShard) || bytesPerShard < 0) {
    throw invalid("bytesPerShard", bytesPerShard, "a whole number of bytes");
  }
}

function invalid(field: string, got: number, allowed: string): AppError {
  return new AppError("InvalidArgument", `placement: ${field}: got ${got}; allowed: ${allowed}`, {
    data: { field, got },
  });
}
