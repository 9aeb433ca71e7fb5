/** What every act takes, and the limits they share. */
import type { ActTask } from "@couchestor/common/api/acts.ts";
import type { RunMap } from "@couchestor/common/api/maps.ts";
import { TokenBucket } from "@couchestor/common/resilience/token-bucket.ts";
import type { MoverContext } from "../ports.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { PoolFinder } from "./pool-finder.ts";
import type { StripeView } from "./shard-places.ts";

export interface ActContext extends MoverContext {
  budget: ByteBudget;
  finder: Pick<PoolFinder, "nodeOf" | "learn">;
}

/** Stripes that one act works on at a time. */
export const actStripesAtOnce = 4;

/** Waits for the act's share of the bytes it may move; at once if it has no limit. */
export type Throttle = (bytes: number, signal: AbortSignal) => Promise<void>;

/** The task's own limit of bytes a second. */
export function throttleOf(task: ActTask, context: ActContext): Throttle {
  const ratePerSecond = task.bytesPerSecondMax;
  if (ratePerSecond === undefined || ratePerSecond === 0) return async () => undefined;
  const bucket = new TokenBucket(context.clock, { ratePerSecond });
  return (bytes, signal) => bucket.take(bytes, signal);
}

/** A stripe of the run that a task brings along. */
export function viewOf(
  task: { volume: StripeView["volume"]; nodes: StripeView["nodes"]; run: RunMap },
  stripe: number,
): StripeView {
  return { volume: task.volume, nodes: task.nodes, run: task.run, stripe };
}

/**
 * Runs `work` for each item, so many at a time, in the order of the items. The first failure stops the rest and is thrown when all that was under way has ended.
 */
export async function forEachAtOnce<T>(
  items: Iterable<T>,
  atOnceMax: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    for (let next = iterator.next(); next.done !== true && !both.aborted; next = iterator.next()) {
      try {
        await work(next.value, both);
      } catch (error) {
        failure ??= { error };
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnceMax }, worker));
  signal.throwIfAborted();
  if (failure !== undefined) throw failure.error;
}
