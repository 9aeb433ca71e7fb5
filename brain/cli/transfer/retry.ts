/** Which failures of a transfer are worth another try, and how long to wait before it. */
import { type ErrorCode, isAppError } from "@couchestor/common/errors/app-error.ts";

export const attemptsMax = 10;
const pauseMsMin = 150;
const pauseMsMax = 4_000;

/** What another try can't change: the caller's mistake, the volume's state, or an end that was asked for. */
const final: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "InvalidArgument",
  "AlreadyExists",
  "TooLarge",
  "FailedPrecondition",
  "NoSpace",
  "ReadOnly",
  "WrongCluster",
  "IncompatibleVersion",
  "Cancelled",
]);

/** Whether a failed step of a transfer may succeed when done again. What is not an error of ours is a bug and is not repeated. */
export function worthRepeating(error: unknown): boolean {
  return isAppError(error) && !final.has(error.code);
}

/** Milliseconds before the try after attempt `attempt` (from 1): 150, 300, 600 … 4,000; about 20 s in all. */
export function pauseMs(attempt: number): number {
  return Math.min(pauseMsMax, pauseMsMin * 2 ** (attempt - 1));
}
