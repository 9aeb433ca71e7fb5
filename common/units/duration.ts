/**
 * Durations as text, in Go's syntax plus days: `7d`, `2d12h`, `1h30m45s`, `1.5h`, `500ms`, and `0`.
 * A day is 24 hours. The base unit is the millisecond.
 */
import { z } from "zod";
import { AppError } from "../errors/app-error.ts";
import { show } from "../errors/from-zod.ts";
import { allowedIn } from "./bytes.ts";
import { scaleDecimal } from "./decimal.ts";

const allowedText = 'a duration such as "500ms", "45s", "1h30m", "2d12h" or "7d"';

/** 100 years of 365 days: longer is a mistake. */
export const durationMsMax = 100 * 365 * 86_400_000;

const nanosecondsOf = new Map<string, bigint>([
  ["ns", 1n],
  ["us", 1_000n],
  ["µs", 1_000n],
  ["μs", 1_000n],
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
  ["d", 86_400_000_000_000n],
]);

export interface DurationLimits {
  minMs?: number;
  maxMs?: number;
}

/** Milliseconds that `text` names: a whole number, not negative, at most 100 years. Throws `InvalidArgument` naming `what`. */
export function parseDuration(text: string, what = "duration"): number {
  const trimmed = text.trim();
  if (trimmed === "0") return 0;
  const nanoseconds = sumParts(trimmed);
  if (nanoseconds === undefined) throw invalid(what, text, `allowed is ${allowedText}`);
  if (nanoseconds % 1_000_000n !== 0n) throw invalid(what, text, "allowed is a whole number of milliseconds");
  const milliseconds = nanoseconds / 1_000_000n;
  if (milliseconds > BigInt(durationMsMax)) throw invalid(what, text, "allowed is at most 36500d");
  return Number(milliseconds);
}

function sumParts(text: string): bigint | undefined {
  if (text === "" || text.length > 128) return undefined;
  let rest = text;
  let sum = 0n;
  while (rest !== "") {
    const match = /^(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)/.exec(rest);
    const unit = match === null ? undefined : nanosecondsOf.get(match[2] ?? "");
    if (match === null || unit === undefined) return undefined;
    const digits = match[1] ?? "";
    const scaled = scaleDecimal(digits.startsWith(".") ? `0${digits}` : digits, unit);
    if (scaled === undefined || !scaled.exact) return undefined;
    sum += scaled.whole;
    rest = rest.slice(match[0].length);
  }
  return sum;
}

const formatUnits = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;

/** Text that `parseDuration` reads back exactly, largest unit first, parts of zero left out: `2d12h`. `0s` for zero. */
export function formatDuration(milliseconds: number): string {
  let rest = milliseconds;
  let text = "";
  for (const [unit, size] of formatUnits) {
    const count = Math.floor(rest / size);
    if (count === 0) continue;
    text += `${count}${unit}`;
    rest -= count * size;
  }
  return text === "" ? "0s" : text;
}

/** zod codec between text and milliseconds within `limits`. */
export function durationCodec(limits: DurationLimits = {}) {
  return z.codec(z.string().max(128), z.number(), {
    decode: (input, context) => {
      try {
        return checkDurationLimits(parseDuration(input), limits);
      } catch (error) {
        context.issues.push({ code: "custom", input, message: allowedIn(error) });
        return z.NEVER;
      }
    },
    encode: (milliseconds) => formatDuration(milliseconds),
  });
}

/** Returns `milliseconds` if it lies within `limits`; throws `InvalidArgument` otherwise. */
export function checkDurationLimits(milliseconds: number, limits: DurationLimits, what = "duration"): number {
  const { minMs = 0, maxMs = durationMsMax } = limits;
  const came = formatDuration(milliseconds);
  if (milliseconds < minMs) throw invalid(what, came, `allowed is at least ${formatDuration(minMs)}`);
  if (milliseconds > maxMs) throw invalid(what, came, `allowed is at most ${formatDuration(maxMs)}`);
  return milliseconds;
}

function invalid(what: string, came: unknown, allowed: string): AppError {
  return new AppError("InvalidArgument", `${what}: got ${show(came)}, ${allowed}`, { data: { what, came, allowed } });
}
