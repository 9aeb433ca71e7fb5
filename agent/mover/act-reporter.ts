/** Tells the brain that an act is done, again and again until it answers: only then is the act over. */
import type { ActDone, ActDoneAnswer } from "@couchestor/common/api/acts.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { BrainPort, Log } from "../ports.ts";

export const reportPauseMs = { first: 100, max: 5_000 };

/** The brain's answer. An error that repeating can't mend counts as `dropped`. Rejects with `signal.reason` only. */
export async function reportDone(
  parts: { brain: Pick<BrainPort, "actDone">; clock: Clock; log: Log },
  done: ActDone,
  signal: AbortSignal,
): Promise<ActDoneAnswer> {
  for (let pauseMs = reportPauseMs.first; ; pauseMs = Math.min(reportPauseMs.max, pauseMs * 2)) {
    signal.throwIfAborted();
    try {
      return await parts.brain.actDone(done, signal);
    } catch (error) {
      signal.throwIfAborted();
      const app = toAppError(error);
      if (!app.retryable && app.status < 500) {
        parts.log.warn({ act: done.act, error: app.message }, "the brain refused the report of an act");
        return { result: "dropped", reason: `the brain refused the report: ${app.message}` };
      }
      parts.log.debug({ act: done.act, error: app.message, pauseMs }, "the brain did not take the report; again soon");
    }
    await parts.clock.sleep(pauseMs, signal);
  }
}
