/**
 * Erasure codes: how a stripe becomes shards. Replication is a code with one data shard.
 * Limits: k in 1 … 32, m (or l + g) in 0 … 16, at most 48 shards.
 */
import { z } from "zod";
import { AppError } from "../errors/app-error.ts";

export const dataShardsMax = 32;
export const parityShardsMax = 16;
export const blockBytes = 4096;
/** The generator matrix of every code here: systematic Vandermonde over GF(2^8) with polynomial 0x11D. */
export const matrixSystematicVandermonde = 1;
export const fieldPolynomial = 0x1d; // 0x11D without the leading bit, as it fits a byte on disk

const k = z.int().min(1).max(dataShardsMax);
const m = z.int().min(1).max(parityShardsMax);

export const codeSchema = z
  .discriminatedUnion("family", [
    z.strictObject({ family: z.literal("rs"), k, m }),
    z.strictObject({ family: z.literal("lrc"), k, l: z.int().min(1).max(parityShardsMax), g: m }),
    z.strictObject({
      family: z.literal("replica"),
      n: z
        .int()
        .min(1)
        .max(parityShardsMax + 1),
    }),
  ])
  .refine((code) => code.family !== "lrc" || (code.k % code.l === 0 && code.l + code.g <= parityShardsMax), {
    message: "lrc(k,l,g) needs k divisible by l, and l + g of at most 16",
  });

export type Code = z.infer<typeof codeSchema>;

/** How many shards hold data. */
export function dataShards(code: Code): number {
  return code.family === "replica" ? 1 : code.k;
}

/** How many shards a stripe has in all. */
export function shardCount(code: Code): number {
  switch (code.family) {
    case "rs":
      return code.k + code.m;
    case "lrc":
      return code.k + code.l + code.g;
    case "replica":
      return code.n;
  }
}

/** How many shards may be lost, whichever they are, with nothing lost. An LRC may survive more, depending on which. */
export function lossesTolerated(code: Code): number {
  switch (code.family) {
    case "rs":
      return code.m;
    case "lrc":
      return code.g + 1;
    case "replica":
      return code.n - 1;
  }
}

/** The length of each shard of a stripe of `stripeBytes`: ceil(stripe / k / 4096) · 4096; the last data shard is zero-padded. */
export function shardBytes(code: Code, stripeBytes: number): number {
  return Math.ceil(stripeBytes / dataShards(code) / blockBytes) * blockBytes;
}

/** `4+2`, `lrc(12,2,2)`, `replica(3)`. */
export function formatCode(code: Code): string {
  switch (code.family) {
    case "rs":
      return `${code.k}+${code.m}`;
    case "lrc":
      return `lrc(${code.k},${code.l},${code.g})`;
    case "replica":
      return `replica(${code.n})`;
  }
}

/** Parses `4+2`, `rs(4,2)`, `lrc(12,2,2)` or `replica(3)`. Throws `InvalidArgument` naming what came and what is allowed. */
export function parseCode(text: string): Code {
  const numbers = (text.match(/\d+/g) ?? []).map(Number);
  const [a = 0, b = 0, c = 0] = numbers;
  const raw = /^\d{1,3}\+\d{1,3}$|^rs\(\d{1,3},\d{1,3}\)$/.test(text)
    ? { family: "rs", k: a, m: b }
    : /^lrc\(\d{1,3},\d{1,3},\d{1,3}\)$/.test(text)
      ? { family: "lrc", k: a, l: b, g: c }
      : /^replica\(\d{1,3}\)$/.test(text)
        ? { family: "replica", n: a }
        : undefined;
  const parsed = codeSchema.safeParse(raw);
  if (raw && parsed.success) return parsed.data;
  const why = raw
    ? `: ${parsed.error?.issues.map((i) => `${i.path.join(".") || "code"}: ${i.message}`).join("; ")}`
    : "";
  throw new AppError(
    "InvalidArgument",
    `code: got "${text}"${why}. Allowed: K+M or rs(K,M) with K 1–32 and M 1–16, lrc(K,L,G) with K divisible by L and L+G ≤ 16, or replica(N) with N 1–17; for example 4+2`,
    { data: { field: "code", got: text } },
  );
}
