/** What became of a change that was asked for: done, refused, or not known. Only the last may still happen later. */
import { AppError, type ErrorCode, isAppError } from "@couchestor/common/errors/app-error.ts";
import { restErrorSchema } from "./model.ts";
import type { MayastorAnswer } from "./transport.ts";

export type RefusalKind =
  /** It is as asked already, or isn't there to be taken back; which of them, only reading tells. */
  | "already"
  | "notFound"
  /** The server has no such route: another version. */
  | "noRoute"
  /** Another change of the same object is under way. */
  | "conflict"
  | "precondition"
  /** No pool can take it. */
  | "noPool"
  | "tooManyRebuilds"
  | "unauthorized"
  | "invalid";

export type WriteOutcome =
  | { kind: "done"; body: unknown }
  | { kind: "refused"; why: RefusalKind; message: string }
  | { kind: "unknown"; message: string };

const codes: Readonly<Record<number, ErrorCode>> = {
  400: "InvalidArgument",
  401: "FailedPrecondition",
  403: "FailedPrecondition",
  404: "NotFound",
  408: "Timeout",
  409: "Conflict",
  412: "FailedPrecondition",
  422: "AlreadyExists",
  501: "FailedPrecondition",
  502: "Unavailable",
  503: "Unavailable",
  504: "Timeout",
  507: "NoSpace",
};

/**
 * The error that an answer other than 200 stands for. `data.kind` is Mayastor's own word and is absent if the answer was not its own: a
 * proxy's 404 says nothing about volumes.
 */
export function answerError(what: string, { status, body }: MayastorAnswer): AppError {
  const code = codes[status] ?? "Internal";
  const parsed = restErrorSchema.safeParse(body);
  const access = status === 401 || status === 403 ? "; give the brain a token that Mayastor accepts" : "";
  if (!parsed.success) {
    const came = typeof body === "string" ? `, beginning "${body.slice(0, 100)}"` : "";
    return new AppError(code, `Mayastor: ${what} was answered ${status}, not in its own words${came}${access}`, {
      data: { status },
    });
  }
  const { kind, details, message } = parsed.data;
  const text = [details, message].filter((part) => part !== "").join("; ");
  return new AppError(code, `Mayastor: ${kind}: ${text.slice(0, 500)}${access}`, {
    data: { status, kind, details: details.slice(0, 2_000) },
  });
}

/**
 * What an answer to a change means. Refused is what Mayastor itself says it won't do. A timeout, a 500, a 503 or a proxy's page leave it
 * open: the server goes on after it has stopped waiting. 507 `FailedPersist` is open too: what has not been written may have been done.
 */
export function outcomeOf(what: string, answer: MayastorAnswer): WriteOutcome {
  const { status, body } = answer;
  if (status >= 200 && status < 300) {
    return typeof body === "string"
      ? { kind: "unknown", message: `${what} was answered ${status} with what is not JSON: "${body.slice(0, 100)}"` }
      : { kind: "done", body };
  }
  const error = answerError(what, answer);
  const { message } = error;
  if ((status === 404 || status === 405) && body === undefined) return { kind: "refused", why: "noRoute", message };
  const kind = error.data["kind"];
  if (kind === undefined) return { kind: "unknown", message };
  if (status === 507) {
    if (kind === "FailedPersist" || kind === "StoreDirty") return { kind: "unknown", message };
    const why = /number of rebuilds|max.*rebuild/i.test(message) ? "tooManyRebuilds" : "noPool";
    return { kind: "refused", why, message };
  }
  const why = refusals[status];
  return why === undefined ? { kind: "unknown", message } : { kind: "refused", why, message };
}

const refusals: Readonly<Record<number, RefusalKind>> = {
  400: "invalid",
  401: "unauthorized",
  403: "unauthorized",
  404: "notFound",
  406: "invalid",
  409: "conflict",
  412: "precondition",
  416: "invalid",
  422: "already",
  501: "noRoute",
};

/** What it means that no answer came. */
export function outcomeOfError(error: unknown): WriteOutcome {
  if (!isAppError(error)) throw error;
  return { kind: "unknown", message: error.message };
}
