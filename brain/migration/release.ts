/** Everything that was set is taken back, one call after the other, until each is known to be gone. It is never given up. */

import { labelOf } from "./calls.ts";
import { ended, held, letGo, openStep, sameSteering, short } from "./journal.ts";
import type { Steering } from "./movers/mover.ts";
import { beginStep, type Decision, type Turn, waitFor, with_ } from "./turn.ts";

/** The next call; or the turn with nothing held any more. */
export function release(turn: Turn): Decision | { released: Turn } {
  let next = openStep(turn.status)?.name === "ReleaseSteering" ? turn : beginStep(turn, "ReleaseSteering", {});
  const { lastCall, uncertainMs, now } = next.seen;
  if (lastCall?.call.kind === "TakeBackSteering") {
    const { item } = lastCall.call;
    const { outcome } = lastCall;
    if (held(next.status).some((other) => sameSteering(other, item))) {
      const gone = outcome.kind === "done" || (outcome.kind === "refused" && isGone(next, item, outcome.why));
      if (!gone) return again(next, item, outcome.message);
      next = with_(next, letGo(next.status, item));
    }
  }
  const [item] = held(next.status);
  if (item === undefined) return { released: with_(next, ended(next.status, "Done", now)) };
  if (!next.rules.mayTakeBack(uncertainMs, next.settings))
    return waitFor(next, "waits before it takes back what it set: an attempt to set it may still come through");
  return call(next, item);
}

function call(turn: Turn, { kind, target, detail }: Steering): Decision {
  const item = { kind, target, detail };
  const step = openStep(turn.status)?.number ?? 0;
  return {
    status: { ...turn.status, message: `takes back ${describe(item)}` },
    call: { step, call: { kind: "TakeBackSteering", item } },
    waitMs: 0,
  };
}

/** The same call once more, with a pause behind it and reads that are newer. */
function again(turn: Turn, item: Steering, said: string): Decision {
  const status = { ...turn.status, message: short(`takes back ${describe(item)}; last time: ${said}`) };
  return { ...call(turn, item), status, fresh: true, waitMs: turn.settings.pollMs };
}

/** Refused because it isn't there: the server says so, and what is read doesn't contradict. */
function isGone({ seen }: Turn, item: Steering, why: string): boolean {
  if (why === "notFound") return true;
  if (why !== "already" && why !== "precondition") return false;
  const view = seen.cluster?.view;
  if (view === undefined || seen.cluster?.ageMs !== 0) return false;
  switch (item.kind) {
    case "PoolCordon":
      return !(view.pools.get(item.target)?.cordoned ?? false);
    case "NodeCordon":
      return !(view.nodes.get(item.target)?.cordons.includes(item.detail) ?? false);
    case "PoolLabel": {
      // The key has another value, which somebody has given it meanwhile.
      const [key] = labelOf(item.detail);
      return view.pools.get(item.target)?.labels[key] !== undefined;
    }
  }
}

function describe({ kind, target, detail }: Steering): string {
  if (kind === "PoolCordon") return `the cordon of pool ${target}`;
  return kind === "NodeCordon" ? `the cordon ${detail} of node ${target}` : `the label ${detail} off pool ${target}`;
}
