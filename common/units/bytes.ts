/**
 * Sizes as text: Kubernetes quantities (`10Gi`, `10G`, `1e9`), IEC names (`256MiB`, `1.5GiB`) and plain numbers of bytes (`4096`).
 * Binary suffixes end in `i` or `iB` and count by 1024; `k M G T P E` (with or without `B`) count by 1000.
 */
import { z } from "zod";
import { AppError } from "../errors/app-error.ts";
import { show } from "../errors/from-zod.ts";
import { scaleDecimal } from "./decimal.ts";

const allowedText = 'a number of bytes such as "4096", "256MiB", "1.5GiB", "10Gi" or "10G"';

const binaryLetters = ["K", "M", "G", "T", "P", "E"] as const;
const units = new Map<string, bigint>([
  ["", 1n],
  ["B", 1n],
  ["k", 1000n],
  ["kB", 1000n],
  ["KB", 1000n],
]);
for (const [index, letter] of binaryLetters.entries()) {
  const binary = 1024n ** BigInt(index + 1);
  units.set(`${letter}i`, binary).set(`${letter}iB`, binary);
  if (letter === "K") continue;
  const decimal = 1000n ** BigInt(index + 1);
  units.set(letter, decimal).set(`${letter}B`, decimal);
}

export interface ByteLimits {
  minBytes?: number;
  maxBytes?: number;
  multipleOfBytes?: number;
}

/**
 * The number of bytes that `text` names, at most 2^53−1. A fraction of a byte is rounded up, as Kubernetes does.
 * `what` names the field in the error. Throws `InvalidArgument`.
 */
export function parseBytes(text: string, what = "size"): number {
  const match = /^(\d[\d.]*(?:[eE][+-]?\d+)?)\s?([A-Za-z]*)$/.exec(text.trim());
  const unit = match === null ? undefined : units.get(match[2] ?? "");
  const scaled = match === null || unit === undefined ? undefined : scaleDecimal(match[1] ?? "", unit);
  if (scaled === undefined) throw invalid(what, text, `allowed is ${allowedText}`);
  const bytes = scaled.exact ? scaled.whole : scaled.whole + 1n;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid(what, text, `allowed is at most ${Number.MAX_SAFE_INTEGER} bytes`);
  }
  return Number(bytes);
}

/** Text that `parseBytes` reads back exactly: the largest binary unit that divides `bytes` (`256MiB`), else the plain number. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = "";
  for (const letter of binaryLetters) {
    if (value === 0 || value % 1024 !== 0) break;
    value /= 1024;
    unit = `${letter}iB`;
  }
  return `${value}${unit}`;
}

/** A rounded size for people: `1.50 GiB`, `312 MiB`, `17 B`. Not meant to be read back. */
export function approximateBytes(bytes: number): string {
  let value = bytes;
  let unit = "B";
  for (const letter of binaryLetters) {
    if (value < 1024) break;
    value /= 1024;
    unit = `${letter}iB`;
  }
  if (unit === "B") return `${value} B`;
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

/** zod codec between text (or a plain number) and a number of bytes within `limits`. */
export function bytesCodec(limits: ByteLimits = {}) {
  return z.codec(z.union([z.string().max(64), z.number()]), z.number(), {
    decode: (input, context) => {
      try {
        return checkByteLimits(typeof input === "number" ? wholeNumber(input) : parseBytes(input), limits);
      } catch (error) {
        context.issues.push({ code: "custom", input, message: allowedIn(error) });
        return z.NEVER;
      }
    },
    encode: (bytes) => formatBytes(bytes),
  });
}

/** Returns `bytes` if it lies within `limits`; throws `InvalidArgument` otherwise. */
export function checkByteLimits(bytes: number, limits: ByteLimits, what = "size"): number {
  const { minBytes = 0, maxBytes = Number.MAX_SAFE_INTEGER, multipleOfBytes = 1 } = limits;
  if (bytes < minBytes) throw invalid(what, formatBytes(bytes), `allowed is at least ${formatBytes(minBytes)}`);
  if (bytes > maxBytes) throw invalid(what, formatBytes(bytes), `allowed is at most ${formatBytes(maxBytes)}`);
  if (bytes % multipleOfBytes !== 0) {
    throw invalid(what, formatBytes(bytes), `allowed is a multiple of ${formatBytes(multipleOfBytes)}`);
  }
  return bytes;
}

function wholeNumber(input: number): number {
  if (Number.isSafeInteger(input) && input >= 0) return input;
  throw invalid("size", input, `allowed is ${allowedText}`);
}

function invalid(what: string, came: unknown, allowed: string): AppError {
  return new AppError("InvalidArgument", `${what}: got ${show(came)}, ${allowed}`, { data: { what, came, allowed } });
}

/** The "allowed …" half of an error of this folder, for zod's message. */
export function allowedIn(error: unknown): string {
  return error instanceof AppError ? String(error.data["allowed"]) : String(error);
}
