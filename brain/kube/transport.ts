/**
 * Requests to the API server through `fetch`, as plain JSON: what was written is what is stored, and what is stored is what is read.
 * Bounded: calls in flight, time of one attempt, bytes of an answer. Questions are asked again when that may help; writes are not, except
 * when the API server says that it did nothing (429), because nobody else knows whether they happened.
 */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { readBounded } from "@couchestor/common/http/read-bounded.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { version } from "@couchestor/common/runtime/version.ts";
import type { ClusterAccess, Credentials } from "./access.ts";
import { Slots } from "./slots.ts";
import { errorFromAnswer } from "./status-error.ts";

export type Query = Record<string, string | number | boolean | undefined>;

export interface KubeRequest {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  query?: Query;
  body?: unknown;
  /** Of the body; `application/json` unless told otherwise. */
  contentType?: string;
  signal?: AbortSignal | undefined;
  /** Limit of one attempt, asked anew for each; `limits.timeoutMs` unless told otherwise. */
  timeoutMs?: number | (() => number);
  /** Attempts in all; `limits.attemptsMax` unless told otherwise. */
  attemptsMax?: number;
  /** Called right before each attempt leaves: throws if it must not any more. */
  before?: (() => void) | undefined;
  /** Does not wait in line behind other calls, nor count among them: for the lease, which everything else hangs on. */
  urgent?: boolean;
}

export interface TransportLimits {
  timeoutMs: number;
  /** Attempts in all. */
  attemptsMax: number;
  pauseMs: number;
  pauseMsMax: number;
  /** A longer `Retry-After` ends the call with its error. */
  retryAfterMsMax: number;
  inFlightMax: number;
  answerBytesMax: number;
}

export const transportLimits: TransportLimits = {
  timeoutMs: 30_000,
  attemptsMax: 4,
  pauseMs: 100,
  pauseMsMax: 2_000,
  retryAfterMsMax: 10_000,
  inFlightMax: 64,
  answerBytesMax: 256 * 1024 * 1024,
};

/** One answered or failed attempt, for metrics. `status` is 0 if there was no answer. */
export interface Attempt {
  method: string;
  path: string;
  status: number;
  tookMs: number;
}

export interface TransportDeps {
  access: ClusterAccess;
  clock: Clock;
  prng: Prng;
  limits?: Partial<TransportLimits>;
  onAttempt?: (attempt: Attempt) => void;
}

export class KubeTransport {
  readonly #deps: TransportDeps;
  readonly #limits: TransportLimits;
  readonly #slots: Slots;

  constructor(deps: TransportDeps) {
    this.#deps = deps;
    this.#limits = { ...transportLimits, ...deps.limits };
    this.#slots = new Slots(this.#limits.inFlightMax);
  }

  get access(): ClusterAccess {
    return this.#deps.access;
  }

  /** The JSON of the answer (text if it is none). Throws the API server's refusal, `Unavailable`, `Timeout` or `Cancelled`. */
  async request<T>(request: KubeRequest): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (request.urgent) return await this.#attempt<T>(request);
        return await this.#slots.run(() => this.#attempt<T>(request), request.signal);
      } catch (error) {
        if (request.signal?.aborted && !isAppError(error)) throw cancelled(request, error);
        if (!this.#mayRepeat(request, error) || attempt >= (request.attemptsMax ?? this.#limits.attemptsMax))
          throw error;
        await this.#pause(attempt, error, request.signal);
      }
    }
  }

  /**
   * An answer without limit of time or size whose body the caller reads, for watches; not counted as in flight. The request ends with
   * `signal`, which must abort in the end. Not repeated.
   */
  async open(request: KubeRequest & { signal: AbortSignal }): Promise<Response> {
    const startMs = this.#deps.clock.monotonicMs();
    try {
      const response = await this.#fetch(request, request.signal);
      if (!response.ok) throw await this.#refusal(request, response);
      this.#observe(request, response.status, startMs);
      return response;
    } catch (error) {
      this.#observe(request, statusOf(error), startMs);
      throw error;
    }
  }

  async #attempt<T>(request: KubeRequest): Promise<T> {
    const startMs = this.#deps.clock.monotonicMs();
    const wanted = typeof request.timeoutMs === "function" ? request.timeoutMs() : request.timeoutMs;
    const timeoutMs = wanted ?? this.#limits.timeoutMs;
    const ended = new AbortController();
    const cancel = this.#deps.clock.after(timeoutMs, () => ended.abort(new DOMException("too late", "TimeoutError")));
    const abort = () => ended.abort(request.signal?.reason);
    if (request.signal?.aborted) abort();
    request.signal?.addEventListener("abort", abort, { once: true });
    try {
      const response = await this.#fetch(request, ended.signal);
      if (!response.ok) throw await this.#refusal(request, response);
      const body = await this.#text(request, response);
      this.#observe(request, response.status, startMs);
      return parse(body, response) as T;
    } catch (error) {
      this.#observe(request, statusOf(error), startMs);
      if (request.signal?.aborted) throw cancelled(request, error);
      if (ended.signal.aborted) throw late(request, timeoutMs, error);
      throw error;
    } finally {
      cancel();
      request.signal?.removeEventListener("abort", abort);
    }
  }

  async #fetch(request: KubeRequest, signal: AbortSignal): Promise<Response> {
    const { access } = this.#deps;
    const response = await this.#send(request, await access.credentials(), signal);
    if (response.status !== 401) return response;
    // A rotated token: the API server did nothing, so that anything may be sent again.
    await response.body?.cancel().catch(() => undefined);
    return await this.#send(request, await access.credentials(true), signal);
  }

  async #send(request: KubeRequest, credentials: Credentials, signal: AbortSignal): Promise<Response> {
    const { method, path, body } = request;
    const headers: Record<string, string> = {
      accept: "application/json",
      "user-agent": `couchestor/${version}`,
      ...credentials.headers,
    };
    if (body !== undefined) headers["content-type"] = request.contentType ?? "application/json";
    const init: BunFetchRequestInit & { timeout?: boolean } = {
      method,
      headers,
      signal,
      redirect: "error",
      tls: credentials.tls,
      // Bun's own limit would end a watch after idle minutes; ours is the signal.
      timeout: false,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    request.before?.();
    try {
      return await fetch(this.#deps.access.server + path + queryText(request.query), init);
    } catch (error) {
      if (signal.aborted) throw error;
      throw unreachable(this.#deps.access.server, request, error);
    }
  }

  async #text(request: KubeRequest, response: Response): Promise<string> {
    const what = `the API server's answer to ${request.method} ${request.path}`;
    try {
      return new TextDecoder().decode(
        await readBounded(response.body, { bytesMax: this.#limits.answerBytesMax, what }),
      );
    } catch (error) {
      if (isAppError(error)) throw error;
      throw unreachable(this.#deps.access.server, request, error);
    }
  }

  async #refusal(request: KubeRequest, response: Response): Promise<AppError> {
    const what = `the API server's refusal of ${request.method} ${request.path}`;
    const body = await readBounded(response.body, { bytesMax: 1024 * 1024, what }).catch(() => new Uint8Array(0));
    return errorFromAnswer({
      method: request.method,
      path: request.path,
      status: response.status,
      body: new TextDecoder().decode(body),
      retryAfter: response.headers.get("retry-after"),
    });
  }

  #mayRepeat(request: KubeRequest, error: unknown): boolean {
    if (!isAppError(error) || request.signal?.aborted) return false;
    if (retryAfterMs(error) > this.#limits.retryAfterMsMax) return false;
    if (error.data["status"] === 429) return true;
    return request.method === "GET" && error.retryable;
  }

  async #pause(attempt: number, error: unknown, signal: AbortSignal | undefined): Promise<void> {
    const grown = Math.min(this.#limits.pauseMsMax, this.#limits.pauseMs * 2 ** (attempt - 1));
    const pauseMs = retryAfterMs(error) + grown * (0.5 + this.#deps.prng.float() / 2);
    await this.#deps.clock.sleep(pauseMs, signal).catch((reason: unknown) => {
      throw new AppError("Cancelled", "the call was given up while it waited to be repeated", { cause: reason });
    });
  }

  #observe(request: KubeRequest, status: number, startMs: number): void {
    const { method, path } = request;
    this.#deps.onAttempt?.({ method, path, status, tookMs: this.#deps.clock.monotonicMs() - startMs });
  }
}

function statusOf(error: unknown): number {
  return isAppError(error) ? Number(error.data["status"] ?? 0) : 0;
}

function retryAfterMs(error: unknown): number {
  return isAppError(error) ? Number(error.data["retryAfterMs"] ?? 0) : 0;
}

function queryText(query: Query | undefined): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters}`;
}

function parse(body: string, response: Response): unknown {
  if (!(response.headers.get("content-type") ?? "").startsWith("application/json")) return body;
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new AppError("Unavailable", `the API server's answer is not JSON: "${body.slice(0, 100)}"`, { cause });
  }
}

function cancelled(request: KubeRequest, cause: unknown): AppError {
  return new AppError("Cancelled", `${request.method} ${request.path} was given up`, { cause });
}

function late(request: KubeRequest, timeoutMs: number, cause: unknown): AppError {
  return new AppError(
    "Timeout",
    `the API server didn't answer ${request.method} ${request.path} within ${timeoutMs} ms`,
    {
      data: { method: request.method, path: request.path, timeoutMs },
      cause,
    },
  );
}

function unreachable(server: string, request: KubeRequest, cause: unknown): AppError {
  if (isAppError(cause)) return cause;
  const { code } = cause as { code?: string };
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppError("Unavailable", `the API server can't be reached at ${server}: ${why}`, {
    data: { method: request.method, path: request.path, server, ...(code === undefined ? {} : { errno: code }) },
    cause,
  });
}
