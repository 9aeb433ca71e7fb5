/**
 * Which tier a HeatScore asks for. At least high: hot. From warm up to high: warm. Between low and warm: wherever it is. At most low: cold.
 * With warm = 0 there are two tiers, and nothing is done between low and high. What is on a tier leaves it only when the score is 10 %
 * beyond the watermark by which it came there: a score that swings by less never moves a volume to and fro.
 */
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";

export interface Watermarks {
  high: number;
  /** 0: two tiers. */
  warm: number;
  low: number;
}

export const hysteresis = 0.1;

export interface Wanted {
  /** Undefined: stay. */
  tier: Tier | undefined;
  reason: "Hot" | "Warm" | "Cold" | "BetweenWatermarks" | "Hysteresis";
  message: string;
}

/** The tier for a volume that is on `from`, if it is on one. */
export function wantedTier(marks: Watermarks, iops: number, from: Tier | undefined): Wanted {
  const wanted = byWatermarks(marks, iops);
  const held = from === undefined || wanted.tier === from ? undefined : heldBy(marks, iops, from, wanted.tier);
  return held ?? wanted;
}

function byWatermarks({ high, warm, low }: Watermarks, iops: number): Wanted {
  const score = `${round(iops)} IOPS`;
  if (iops >= high) return { tier: "hot", reason: "Hot", message: `${score}, hot is at least ${high}` };
  if (iops <= low) return { tier: "cold", reason: "Cold", message: `${score}, cold is at most ${low}` };
  if (warm > 0 && iops >= warm) {
    return { tier: "warm", reason: "Warm", message: `${score}, warm is from ${warm} to ${high}` };
  }
  const upper = warm > 0 ? warm : high;
  return { tier: undefined, reason: "BetweenWatermarks", message: `${score}, between ${low} and ${upper} it stays` };
}

/** What keeps a volume where it is although the watermarks alone say otherwise. */
function heldBy({ high, warm, low }: Watermarks, iops: number, from: Tier, to: Tier | undefined): Wanted | undefined {
  if (to === undefined) return undefined;
  const stay = (mark: number, limit: number, side: "below" | "above"): Wanted => ({
    tier: undefined,
    reason: "Hysteresis",
    message: `${round(iops)} IOPS, it leaves ${from} only ${side} ${round(limit)}, 10 % beyond ${mark}`,
  });
  if (from === "hot" && iops >= high * (1 - hysteresis)) return stay(high, high * (1 - hysteresis), "below");
  if (from === "warm" && warm > 0 && to === "cold" && iops >= warm * (1 - hysteresis)) {
    return stay(warm, warm * (1 - hysteresis), "below");
  }
  if (from === "cold" && iops <= low * (1 + hysteresis)) return stay(low, low * (1 + hysteresis), "above");
  return undefined;
}

/** A HeatScore as it is written down: two digits behind the point are enough. */
export function iopsText(iops: number): string {
  return String(Math.round(iops * 100) / 100);
}

/** IOPS for people. */
export function round(iops: number): string {
  return iops < 10 ? String(Math.round(iops * 100) / 100) : String(Math.round(iops));
}
