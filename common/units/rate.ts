/**
 * Data rates as text: a size of `units/bytes.ts` a second, `200MiB/s`.
 */
import { z } from "zod";
import { AppError } from "../errors/app-error.ts";
import { show } from "../errors/from-zod.ts";
import { allowedIn, type ByteLimits, checkByteLimits, formatBytes, parseBytes } from "./bytes.ts";

const allowedText = 'bytes a second such as "200MiB/s" or "1G/s"';

/** Bytes per second that `text` names, at least 1. Throws `InvalidArgument` naming `what`. */
export function parseRate(text: string, what = "rate"): number {
  const match = /^(.*\S)\s*\/\s*s$/.exec(text.trim());
  if (match === null) throw invalid(what, text, `allowed is ${allowedText}`);
  const bytesPerSecond = parseBytes(match[1] ?? "", what);
  if (bytesPerSecond < 1) throw invalid(what, text, "allowed is at least 1B/s");
  return bytesPerSecond;
}

/** Text that `parseRate` reads back exactly. */
export function formatRate(bytesPerSecond: number): string {
  const size = formatBytes(bytesPerSecond);
  return /\d$/.test(size) ? `${size}B/s` : `${size}/s`;
}

/** zod codec between text and bytes per second within `limits`. */
export function rateCodec(limits: ByteLimits = {}) {
  return z.codec(z.string().max(64), z.number(), {
    decode: (input, context) => {
      try {
        return checkByteLimits(parseRate(input), limits, "rate");
      } catch (error) {
        context.issues.push({ code: "custom", input, message: allowedIn(error) });
        return z.NEVER;
      }
    },
    encode: (bytesPerSecond) => formatRate(bytesPerSecond),
  });
}

function invalid(what: string, came: unknown, allowed: string): AppError {
  return new AppError("InvalidArgument", `${what}: got ${show(came)}, ${allowed}`, { data: { what, came, allowed } });
}
