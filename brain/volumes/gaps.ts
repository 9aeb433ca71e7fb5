/** Stripes of a volume that no run covers: their ECStripes are gone, and what they held can't be found without them. */
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import type { Services } from "./services.ts";
import { runCounts } from "./volume-rules.ts";

export interface StripeRange {
  firstStripe: number;
  stripeCount: number;
}

/** The stripes below `stripes` that none of `runs` covers; `runs` by first stripe. They may overlap: one that is divided meanwhile, or was made by hand. */
export function gapsBetween(runs: readonly StripeRange[], stripes: number): StripeRange[] {
  const gaps: StripeRange[] = [];
  let next = 0;
  for (const { firstStripe, stripeCount } of runs) {
    if (firstStripe > next) gaps.push({ firstStripe: next, stripeCount: Math.min(firstStripe, stripes) - next });
    next = Math.max(next, firstStripe + stripeCount);
    if (next >= stripes) return gaps;
  }
  gaps.push({ firstStripe: next, stripeCount: stripes - next });
  return gaps;
}

export const stripesIn = (ranges: readonly StripeRange[]): number =>
  ranges.reduce((sum, { stripeCount }) => sum + stripeCount, 0);

/** What is missing of a volume that once had all of its runs. While it is made it hasn't, and while it is deleted it has no more. */
export function gapsOf({ catalogue }: Pick<Services, "catalogue">, volume: EcVolume): StripeRange[] {
  const phase = volume.status?.phase;
  if (phase !== "Ready" && phase !== "Importing") return [];
  return gapsBetween(catalogue.runs.ofVolume(volume.spec.volumeUuid), runCounts(volume.spec).stripes);
}
