/**
 * The one error class for operations that can fail. `code` is the stable name that clients may branch on; `errors/http.ts`
 * maps it to a status. Assertions are for bugs; this is for everything a user, a peer or a disk can cause.
 */

export const errorCodes = {
  InvalidArgument: 400,
  NotFound: 404,
  ChunkAbsent: 404,
  AlreadyExists: 409,
  Conflict: 409,
  NameReused: 409,
  FailedPrecondition: 412,
  TooLarge: 413,
  ChunkCorrupt: 500,
  Internal: 500,
  Unrecoverable: 503,
  Unavailable: 503,
  Timeout: 504,
  NoSpace: 507,
  ReadOnly: 503,
  WrongCluster: 409,
  IncompatibleVersion: 426,
  Cancelled: 499,
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface AppErrorOptions {
  /** Machine-readable details: the field, what came, what is allowed. Must be JSON. */
  data?: Record<string, unknown>;
  cause?: unknown;
  /** Whether the same call may succeed later without anybody changing anything. */
  retryable?: boolean;
}

export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly data: Record<string, unknown>;
  readonly retryable: boolean;

  /** `message` says what is wrong and what to do next, in words for the person who reads it. */
  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.data = options.data ?? {};
    this.retryable = options.retryable ?? ["Unavailable", "Timeout"].includes(code);
  }

  /** The HTTP status of this error. */
  get status(): number {
    return errorCodes[this.code];
  }
}

/** Whether `error` is an `AppError` of that code. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}
