/**
 * The one mapping between errors and HTTP answers: `application/problem+json` as RFC 9457 has it.
 * What is not an error of ours becomes `Internal` without telling the peer anything about the inside.
 */
import { z } from "zod";
import { FileSystemError } from "../runtime/file-system.ts";
import { AppError, type ErrorCode, errorCodes } from "./app-error.ts";
import { invalidArgumentFromZod, isZodError } from "./from-zod.ts";

export const problemContentType = "application/problem+json";

/** What goes over the wire. `code`, `data` and `retryable` are extension members. */
export const problemSchema = z.object({
  type: z.string().max(256),
  title: z.string().max(256),
  status: z.number().int().min(400).max(599),
  detail: z.string().max(16_384),
  code: z.string().max(64),
  data: z.record(z.string(), z.unknown()).optional(),
  retryable: z.boolean().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

const detailCharactersMax = 16_384;

/** Any thrown value as an `AppError`; itself if it is one. Unknown errors become `Internal` with the original as `cause`. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isZodError(error)) return invalidArgumentFromZod(error, "request");
  if (error instanceof FileSystemError) return fromFileSystemError(error);
  if (error instanceof Error && error.name === "TimeoutError") {
    return new AppError("Timeout", "the operation took longer than its limit", { cause: error });
  }
  if (error instanceof Error && error.name === "AbortError") {
    return new AppError("Cancelled", "the caller gave up before the operation was done", { cause: error });
  }
  return new AppError("Internal", "internal error; see the log of this process", { cause: error });
}

function fromFileSystemError(error: FileSystemError): AppError {
  const data = { errno: error.code, operation: error.operation };
  if (error.code === "ENOSPC" || error.code === "EDQUOT") {
    return new AppError("NoSpace", "the medium is full", { data, cause: error });
  }
  if (error.code === "EROFS") return new AppError("ReadOnly", "the medium is read-only", { data, cause: error });
  return new AppError("Internal", `the medium failed: ${error.code}`, { data, cause: error });
}

/** The body for `error`. */
export function toProblem(error: unknown): Problem {
  const app = toAppError(error);
  return {
    type: `urn:couchestor:error:${kebab(app.code)}`,
    title: words(app.code),
    status: app.status,
    detail: app.message.slice(0, detailCharactersMax),
    code: app.code,
    ...(Object.keys(app.data).length === 0 ? {} : { data: app.data }),
    retryable: app.retryable,
  };
}

/** The HTTP answer for `error`. */
export function problemResponse(error: unknown): Response {
  const problem = toProblem(error);
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { "content-type": problemContentType },
  });
}

/**
 * The error a peer's answer stands for. `body` is the parsed JSON, or the text if it was none.
 * An answer that is not one of our problems becomes the code its status suggests.
 */
export function errorFromProblem(status: number, body: unknown): AppError {
  const parsed = problemSchema.safeParse(body);
  if (!parsed.success) return errorFromStatus(status, body);
  const { code, detail, data, retryable } = parsed.data;
  if (!isErrorCode(code)) {
    return new AppError(codeForStatus(status), detail, { data: { ...data, peerCode: code, status } });
  }
  return new AppError(code, detail, {
    ...(data === undefined ? {} : { data }),
    ...(retryable === undefined ? {} : { retryable }),
  });
}

function errorFromStatus(status: number, body: unknown): AppError {
  const text = typeof body === "string" && body.trim() !== "" ? `: ${body.trim().slice(0, 200)}` : "";
  return new AppError(codeForStatus(status), `the peer answered HTTP ${status}${text}`, { data: { status } });
}

function codeForStatus(status: number): ErrorCode {
  if (status === 408) return "Timeout";
  if (status === 429 || status === 502 || status === 503) return "Unavailable";
  const first = (Object.keys(errorCodes) as ErrorCode[]).find((code) => errorCodes[code] === status);
  if (status === 500 || first === undefined) return status < 500 ? "InvalidArgument" : "Internal";
  return first;
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}

function words(code: string): string {
  const spaced = code.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

function kebab(code: string): string {
  return code.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
}
