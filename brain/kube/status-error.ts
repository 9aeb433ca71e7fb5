/** What the API server says when it refuses, as our errors. */
import { AppError, type AppErrorOptions, type ErrorCode } from "@couchestor/common/errors/app-error.ts";

/** The part of a Kubernetes `Status` that is used here. */
interface Status {
  kind: "Status";
  reason?: string;
  message?: string;
  details?: {
    name?: string;
    kind?: string;
    retryAfterSeconds?: number;
    causes?: { field?: string; reason?: string; message?: string }[];
  };
}

export interface Refusal {
  method: string;
  path: string;
  status: number;
  body: string;
  /** The `Retry-After` header. */
  retryAfter?: string | null;
}

const causesMax = 16;
const textShownMax = 300;

/**
 * The error behind an answer that is not 2xx. `data.status` and `data.reason` are the API server's; `data.causes` names fields and what is
 * wrong with each; `data.retryAfterMs` says how long it wants to be left alone.
 */
export function errorFromAnswer(refusal: Refusal): AppError {
  const status = parseStatus(refusal.body);
  const reason = status?.reason ?? "";
  const said = status?.message ?? refusal.body.trim().slice(0, textShownMax);
  const causes = (status?.details?.causes ?? []).slice(0, causesMax);
  const retryAfterMs = retryAfterMsOf(refusal, status);
  const data = {
    status: refusal.status,
    method: refusal.method,
    path: refusal.path,
    ...(reason === "" ? {} : { reason }),
    ...(status?.details?.name === undefined ? {} : { name: status.details.name }),
    ...(causes.length === 0 ? {} : { causes }),
    ...(causes[0]?.field === undefined ? {} : { field: causes[0].field }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  const [code, retryable] = codeOf(refusal.status, reason);
  const options: AppErrorOptions = { data, retryable };
  return new AppError(code, messageOf(refusal, said, status === undefined), options);
}

/** The error of an `ERROR` event in a watch. */
export function errorFromWatchStatus(path: string, status: unknown): AppError {
  const code = (status as { code?: unknown } | null)?.code;
  return errorFromAnswer({
    method: "WATCH",
    path,
    status: typeof code === "number" ? code : 500,
    body: JSON.stringify(status),
  });
}

/** Whether a list or watch must begin anew, because what it went on from is no longer kept (410). */
export function isExpired(error: unknown): boolean {
  return error instanceof AppError && error.data["status"] === 410;
}

function codeOf(status: number, reason: string): [ErrorCode, boolean] {
  switch (status) {
    case 400:
    case 422:
      return ["InvalidArgument", false];
    case 401:
    case 403:
      return ["FailedPrecondition", false];
    case 404:
      return ["NotFound", false];
    case 409:
      return [reason === "AlreadyExists" ? "AlreadyExists" : "Conflict", false];
    case 410:
      return ["Conflict", false];
    case 413:
      return ["TooLarge", false];
    case 429:
      return ["Unavailable", true];
    case 504:
      return ["Timeout", true];
    default:
      return status >= 500 ? ["Unavailable", true] : ["Internal", false];
  }
}

function messageOf({ method, path, status }: Refusal, said: string, notAStatus: boolean): string {
  const call = `${method} ${path}`;
  if (status === 401) return `the API server doesn't accept these credentials (${call}): ${said}`;
  if (status === 403) return `the API server refuses by its rules of access (${call}): ${said}`;
  if (status === 404 && notAStatus)
    return `the API server doesn't serve ${path}: is the CustomResourceDefinition installed?`;
  if (status === 410) return `${call}: what it went on from is no longer kept; list again: ${said}`;
  return `the API server answered ${status} to ${call}: ${said || "nothing more"}`;
}

function retryAfterMsOf(refusal: Refusal, status: Status | undefined): number | undefined {
  const header = Number(refusal.retryAfter ?? Number.NaN);
  const seconds = Number.isFinite(header) ? header : status?.details?.retryAfterSeconds;
  return seconds === undefined || seconds < 0 ? undefined : seconds * 1000;
}

function parseStatus(body: string): Status | undefined {
  try {
    const parsed = JSON.parse(body) as Status | null;
    return parsed?.kind === "Status" ? parsed : undefined;
  } catch {
    return undefined;
  }
}
