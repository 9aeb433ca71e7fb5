/** Texts in specs that are durations, as the schema can check them; their limits are checked where they are read. */
import { z } from "zod";
import { AppError } from "../errors/app-error.ts";
import { checkDurationLimits, type DurationLimits, formatDuration, parseDuration } from "../units/duration.ts";

const pattern = "^(0|([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h|d))+)$";
const allowed = 'must be a duration such as "30s", "1h30m" or "7d"';
const isDuration = new RegExp(pattern);

/** A duration such as `30s`, `1h30m` or `7d`. A rule and no pattern, because the API server repeats a rule's message and not a pattern's. */
export const durationTextSchema = z
  .string()
  .min(1)
  .max(64)
  .refine((text) => isDuration.test(text), allowed)
  .meta({ "x-kubernetes-validations": [{ rule: `self.matches('${pattern}')`, message: allowed }] });

export interface CheckedDuration {
  /** Undefined when it is not a duration or not within the limits. */
  ms: number | undefined;
  problems: string[];
}

/** The duration in a field, or what is wrong with it. */
export function checkDuration(text: string, limits: DurationLimits, field: string): CheckedDuration {
  try {
    return { ms: checkDurationLimits(parseDuration(text, field), limits, field), problems: [] };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { minMs = 0, maxMs } = limits;
    const range =
      maxMs === undefined
        ? `at least ${formatDuration(minMs)}`
        : `${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
    return { ms: undefined, problems: [`${field}: got ${JSON.stringify(text)}, allowed is ${range}`] };
  }
}
