/** Every way in which a call can go wrong. */
import type { Prng } from "@couchestor/common/runtime/prng.ts";

/** How an answer is lost of what was carried out all the same. */
export const lostAnswers = ["reset", "timeout504", "timeout408", "unavailable503", "html", "silent"] as const;
export type LostAnswer = (typeof lostAnswers)[number];

export type CallFault =
  /** The request never arrives. */
  | { kind: "before"; how: "reset" | "html" | "silent" }
  /** It arrives so much later than it was sent; the sender waits. */
  | { kind: "delayed"; ms: number }
  /** It is carried out, and the answer is lost. */
  | { kind: "after"; how: LostAnswer }
  /** The server stops waiting after its 5 s and says 503 Aborted; it is carried out so much later. */
  | { kind: "late"; ms: number }
  /** The same, but it is rolled back in the end (an increase), or done soon after (all else). */
  | { kind: "cut" }
  /** Refused with this, and not carried out. */
  | { kind: "error"; status: number; word: string; details?: string };

/** One for each kind, for those who go through them all. */
export const everyFault: readonly CallFault[] = [
  { kind: "before", how: "reset" },
  { kind: "before", how: "html" },
  { kind: "before", how: "silent" },
  { kind: "delayed", ms: 15_000 },
  ...lostAnswers.map((how) => ({ kind: "after" as const, how })),
  { kind: "late", ms: 500 },
  { kind: "late", ms: 10_000 },
  { kind: "late", ms: 25_000 },
  { kind: "cut" },
  { kind: "error", status: 408, word: "Timeout" },
  { kind: "error", status: 409, word: "Conflict" },
  { kind: "error", status: 412, word: "FailedPrecondition" },
  { kind: "error", status: 500, word: "Internal" },
  { kind: "error", status: 503, word: "Unavailable", details: "NotReady" },
  { kind: "error", status: 503, word: "Aborted" },
  { kind: "error", status: 504, word: "DeadlineExceeded" },
  { kind: "error", status: 507, word: "ResourceExhausted", details: "Not enough suitable pools available, 0/1" },
  {
    kind: "error",
    status: 507,
    word: "ResourceExhausted",
    details: "Maximum number of rebuilds reached in the system",
  },
  { kind: "error", status: 507, word: "FailedPersist" },
];

/** One of the kinds above, of these only if any are named; for a read, of those that make sense for one. Undefined if that leaves none. */
export function randomFault(
  prng: Prng,
  isRead: boolean,
  kinds: readonly CallFault["kind"][] | undefined,
): CallFault | undefined {
  const forReads = ["before", "delayed", "error"];
  const fit = everyFault.filter(({ kind }) => (!isRead || forReads.includes(kind)) && (kinds?.includes(kind) ?? true));
  const fault = fit[prng.below(Math.max(1, fit.length))];
  if (fault?.kind === "delayed") return { kind: "delayed", ms: prng.below(15_000) };
  return fault?.kind === "late" ? { kind: "late", ms: 200 + prng.below(25_000) } : fault;
}
