/** What is lost of a volume, in words: which stripes can't be reconstructed and which pools they miss. */
import type { StripeView } from "@couchestor/common/api/admin.ts";
import { dataShards, formatCode } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { rangesText } from "../text.ts";

const poolsNamedMax = 24;

export interface Losses {
  /** Runs of stripes with fewer than k shards left. */
  unrecoverable: { name: string; firstStripe: number; stripeCount: number; shardsLeft: number; shardsNeeded: number }[];
  /** `node/pool`, each with the number of shard columns that are missing there. */
  pools: { pool: string; shards: number }[];
  text: string;
}

/** Sums up the runs that are Unrecoverable. */
export function lossesOf(volume: string, stripes: readonly StripeView[]): Losses {
  const lost = stripes.filter((stripe) => stripe.state === "Unrecoverable");
  const perPool = new Map<string, number>();
  for (const stripe of lost) {
    for (const missing of stripe.missing) {
      const pool = `${missing.nodeName}/${missing.poolName}`;
      perPool.set(pool, (perPool.get(pool) ?? 0) + 1);
    }
  }
  const pools = [...perPool].map(([pool, shards]) => ({ pool, shards })).sort((a, b) => a.pool.localeCompare(b.pool));
  const unrecoverable = lost.map((stripe) => ({
    name: stripe.name,
    firstStripe: stripe.firstStripe,
    stripeCount: stripe.stripeCount,
    shardsLeft: stripe.shards.filter((s) => !stripe.missing.some((m) => m.shardIndex === s.shardIndex)).length,
    shardsNeeded: dataShards(stripe.code),
  }));
  return { unrecoverable, pools, text: sentence(volume, lost, unrecoverable, pools) };
}

function sentence(
  volume: string,
  lost: readonly StripeView[],
  unrecoverable: Losses["unrecoverable"],
  pools: Losses["pools"],
): string {
  const first = lost[0];
  if (first === undefined) return "";
  const count = lost.reduce((sum, stripe) => sum + stripe.stripeCount, 0);
  const left = unrecoverable.map((run) => run.shardsLeft);
  const named = pools.slice(0, poolsNamedMax).map((entry) => entry.pool);
  const more = pools.length - named.length;
  return (
    `volume ${volume}: ${count} stripes can't be reconstructed: ${rangesText(lost.map((s) => ({ first: s.firstStripe, count: s.stripeCount })))}. ` +
    `${formatCode(first.code)} needs ${dataShards(first.code)} shards of each; ${span(left)} can be reached. ` +
    `They miss the pools ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}. ` +
    "Nothing is made up in their place. Bring back any of these pools, and the stripes can be read again"
  );
}

function span(counts: readonly number[]): string {
  const low = Math.min(...counts);
  const high = Math.max(...counts);
  return low === high ? `${low}` : `${low} to ${high}`;
}

/** The agent's error with the brain's knowledge of the whole volume, if it has any. */
export function describeLosses(error: AppError, volume: string, stripes: readonly StripeView[]): AppError {
  const losses = lossesOf(volume, stripes);
  if (losses.unrecoverable.length === 0) return error;
  return new AppError("Unrecoverable", `${losses.text} (the reader says: ${error.message})`, {
    data: { ...error.data, volume, unrecoverable: losses.unrecoverable, pools: losses.pools },
    cause: error,
  });
}
