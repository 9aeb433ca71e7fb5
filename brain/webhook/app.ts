/** The webhook's one route. A review that can't be read is refused with 400, which the API server treats by the failurePolicy. */

import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { problemResponse } from "@couchestor/common/errors/http.ts";
import { readBounded } from "@couchestor/common/http/read-bounded.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { Hono } from "hono";
import { type AdmissionFacts, admit } from "./admit.ts";
import { reviewAnswer, reviewSchema } from "./review.ts";

/** An object and its predecessor, each of at most what etcd takes, with room for the request around them. */
export const reviewBytesMax = 4 * 1024 * 1024;
const reviewMsMax = 5_000;
export const reviewPath = "/validate";

export interface ReviewOutcome {
  kind: string;
  operation: string;
  allowed: boolean;
}

export interface AppDeps {
  facts: AdmissionFacts;
  clock: Clock;
  onReview?: (outcome: ReviewOutcome) => void;
  onError?: (error: unknown) => void;
}

/** The hono app. */
export function webhookApp({ facts, clock, onReview, onError }: AppDeps): Hono {
  const app = new Hono();
  app.post(reviewPath, async (context) => {
    const { raw } = context.req;
    const bytes = await readBounded(raw.body, {
      bytesMax: reviewBytesMax,
      what: "the admission review",
      declared: raw.headers,
      deadline: { clock, ms: reviewMsMax },
    });
    const { request } = parseOrThrow(reviewSchema, jsonOf(bytes), "admission review");
    const verdict = admit(request, facts);
    onReview?.({ kind: request.kind.kind, operation: request.operation, allowed: verdict.problems.length === 0 });
    return context.json(reviewAnswer(request, verdict));
  });
  app.notFound(({ req }) => problemResponse(new AppError("NotFound", `there is no ${req.method} ${req.path} here`)));
  app.onError((error) => {
    onError?.(error);
    return problemResponse(error);
  });
  return app;
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new AppError("InvalidArgument", "the admission review is not JSON", { cause });
  }
}
