/** AdmissionReview (admission.k8s.io/v1), as far as it is used here: what the API server asks, and how it is answered. */
import { z } from "zod";

export const reviewVersion = "admission.k8s.io/v1";

const objectSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string().optional(), deletionTimestamp: z.string().nullish() }).optional(),
  spec: z.unknown().optional(),
});
export type ReviewedObject = z.infer<typeof objectSchema>;

export const reviewSchema = z.looseObject({
  apiVersion: z.literal(reviewVersion),
  kind: z.literal("AdmissionReview"),
  request: z.looseObject({
    uid: z.string().min(1).max(128),
    kind: z.looseObject({ group: z.string(), version: z.string(), kind: z.string() }),
    name: z.string().optional(),
    operation: z.enum(["CREATE", "UPDATE", "DELETE", "CONNECT"]),
    subResource: z.string().optional(),
    object: objectSchema.nullish(),
    oldObject: objectSchema.nullish(),
  }),
});
export type ReviewRequest = z.infer<typeof reviewSchema>["request"];

export interface Verdict {
  /** Why it is refused; allowed without any. */
  problems: readonly string[];
  /** Shown by kubectl, allowed or not. */
  warnings: readonly string[];
}

/** API servers cut longer warnings off, or drop them all. */
const warningCharactersMax = 256;
const warningsMax = 16;

/** The answer to a review. */
export function reviewAnswer(request: ReviewRequest, { problems, warnings }: Verdict): object {
  const { kind } = request.kind;
  const what = `${kind} ${request.name ?? request.object?.metadata?.name ?? ""}`.trim();
  const shown = warnings.slice(0, warningsMax).map((warning) => shortened(`${kind}: ${warning}`));
  return {
    apiVersion: reviewVersion,
    kind: "AdmissionReview",
    response: {
      uid: request.uid,
      allowed: problems.length === 0,
      ...(shown.length === 0 ? {} : { warnings: shown }),
      ...(problems.length === 0
        ? {}
        : { status: { code: 422, reason: "Invalid", message: `${what} is invalid: ${problems.join("; ")}` } }),
    },
  };
}

function shortened(text: string): string {
  return text.length <= warningCharactersMax ? text : `${text.slice(0, warningCharactersMax - 1)}…`;
}
