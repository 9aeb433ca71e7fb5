/**
 * HTTP to our own peers: answers are checked by schema, bodies are bounded, problems become `AppError`s again, and what a peer says
 * that is none of these becomes an error that tells what came.
 */
import type { z } from "zod";
import { AppError } from "../errors/app-error.ts";
import { parseOrThrow } from "../errors/from-zod.ts";
import { errorFromProblem, problemContentType } from "../errors/http.ts";
import { type CallPolicy, createPolicy, type PolicySettings, policies } from "../resilience/policies.ts";
import type { PeerTls } from "../tls/peer-credentials.ts";
import { readBounded } from "./read-bounded.ts";

export const answerBytesMaxDefault = 16 * 1024 * 1024;

export interface ClientOptions {
  /** For messages: `brain`, `agent n1`. */
  peer: string;
  /** `http://127.0.0.1:4321`, no slash at the end. */
  baseUrl: string;
  /** Own certificate, if the peer wants one, and the CAs of the peers to trust. A function is asked for each request. */
  tls?: PeerTls | (() => PeerTls | undefined) | undefined;
  /** Default: `policies.query` for GET, `policies.order` for the rest. */
  policy?: PolicySettings;
  /** The error that an answer of another program's own form stands for; undefined for what it doesn't know. Our own form needs none. */
  readError?: (status: number, body: unknown) => AppError | undefined;
}

export interface CallOptions {
  body?: unknown;
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Answers above this are refused unread. */
  answerBytesMax?: number;
  /** The same call twice has the effect of one: it may be repeated after a failure. Default: GET only. */
  idempotent?: boolean;
}

export interface RawCallOptions extends CallOptions {
  /** Bytes to send as they are. */
  bytes?: Uint8Array | ReadableStream<Uint8Array>;
}

export interface HttpClient {
  readonly peer: string;
  readonly baseUrl: string;
  /** A call with JSON both ways. Throws the peer's error, or `Unavailable`, `Timeout`, `Internal` (an answer that isn't what it should be). */
  json<S extends z.ZodType>(method: string, path: string, answer: S, options?: CallOptions): Promise<z.output<S>>;
  /** A call whose answer is bytes; the headers come with them. */
  bytes(method: string, path: string, options?: RawCallOptions): Promise<{ bytes: Uint8Array; headers: Headers }>;
  /** A call without limits of time or size: the caller reads `response.body`. Problems are thrown. Never repeated. */
  stream(method: string, path: string, options?: RawCallOptions): Promise<Response>;
}

/** A client for one peer. Make one for each: the breaker is the peer's. */
export function createClient(options: ClientOptions): HttpClient {
  return new FetchClient(options);
}

class FetchClient implements HttpClient {
  readonly peer: string;
  readonly baseUrl: string;
  readonly #tls: ClientOptions["tls"];
  readonly #readError: ClientOptions["readError"];
  readonly #repeated: CallPolicy;
  readonly #once: CallPolicy;

  constructor(options: ClientOptions) {
    this.peer = options.peer;
    this.baseUrl = options.baseUrl.replace(/\/+$/, "");
    this.#tls = options.tls;
    this.#readError = options.readError;
    this.#repeated = createPolicy(this.peer, options.policy ?? policies.query);
    this.#once = createPolicy(this.peer, { ...(options.policy ?? policies.order), attemptsMax: 1 });
  }

  async json<S extends z.ZodType>(method: string, path: string, answer: S, options: CallOptions = {}) {
    const { body, ...rest } = options;
    const sent = body === undefined ? {} : { bytes: new TextEncoder().encode(JSON.stringify(body)) };
    const headers = {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const got = await this.bytes(method, path, { ...rest, ...sent, headers: { ...headers, ...options.headers } });
    const what = `the answer of ${this.peer} to ${method} ${path}`;
    const value = parseJson(got.bytes, got.headers, what);
    try {
      return parseOrThrow(answer, value, what);
    } catch (error) {
      // The peer's fault, not the argument of whoever called us.
      throw new AppError("Internal", error instanceof Error ? error.message : String(error), {
        data: { peer: this.peer, url: this.baseUrl + path },
        cause: error,
      });
    }
  }

  bytes(method: string, path: string, options: RawCallOptions = {}) {
    const policy = (options.idempotent ?? method === "GET") ? this.#repeated : this.#once;
    return policy.execute(async (signal) => {
      const response = await this.#fetch(method, path, { ...options, signal }, false);
      const limit = options.answerBytesMax ?? answerBytesMaxDefault;
      const what = `the answer of ${this.peer} to ${method} ${path}`;
      const bytes = await readBounded(response.body, { bytesMax: limit, what, declared: response.headers }).catch(
        (e) => {
          throw this.#connectionError(e, method, path);
        },
      );
      if (!response.ok) throw errorOf(response, bytes, this.peer, this.#readError);
      return { bytes, headers: response.headers };
    }, options.signal);
  }

  async stream(method: string, path: string, options: RawCallOptions = {}): Promise<Response> {
    const response = await this.#fetch(method, path, options, true);
    if (response.ok) return response;
    const what = `the answer of ${this.peer} to ${method} ${path}`;
    const bytes = await readBounded(response.body, { bytesMax: answerBytesMaxDefault, what });
    throw errorOf(response, bytes, this.peer, this.#readError);
  }

  async #fetch(method: string, path: string, options: RawCallOptions, unlimited: boolean): Promise<Response> {
    const init: BunFetchRequestInit & { timeout?: boolean } = { method, redirect: "error" };
    if (options.headers !== undefined) init.headers = options.headers;
    if (options.bytes !== undefined) init.body = options.bytes as Uint8Array<ArrayBuffer>;
    if (options.signal !== undefined) init.signal = options.signal;
    if (unlimited) init.timeout = false;
    const tls = typeof this.#tls === "function" ? this.#tls() : this.#tls;
    if (tls !== undefined) init.tls = { ...tls, rejectUnauthorized: true };
    try {
      return await fetch(this.baseUrl + path + queryOf(options.query), init);
    } catch (error) {
      throw this.#connectionError(error, method, path);
    }
  }

  #connectionError(error: unknown, method: string, path: string): unknown {
    if (error instanceof AppError) return error;
    const { name, code } = error as { name?: string; code?: string };
    const data = { peer: this.peer, url: this.baseUrl + path, ...(code === undefined ? {} : { errno: code }) };
    if (name === "TimeoutError") {
      return new AppError("Timeout", `${this.peer} (${this.baseUrl}) didn't answer ${method} ${path} in time`, {
        data,
        cause: error,
      });
    }
    if (name === "AbortError") {
      return new AppError("Cancelled", `${method} ${path} at ${this.peer} was given up`, { data, cause: error });
    }
    const why = reasons[code ?? ""] ?? (error instanceof Error ? error.message : String(error));
    return new AppError("Unavailable", `${this.peer} can't be reached at ${this.baseUrl}: ${why}`, {
      data,
      cause: error,
    });
  }
}

/** What the runtime's codes mean; its own texts speak to who writes programs. */
const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused, nothing listens there",
  ECONNRESET: "it closed the connection before it had answered",
  ENOTFOUND: "there is no such host name",
  EHOSTUNREACH: "no route to that host",
  ENETUNREACH: "no route to that network",
};

function queryOf(query: CallOptions["query"]): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters}`;
}

function parseJson(bytes: Uint8Array, headers: Headers, what: string): unknown {
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    const type = headers.get("content-type") ?? "no content type";
    throw new AppError(
      "Internal",
      `${what} is not JSON: ${bytes.byteLength} bytes of ${type}, beginning "${text.slice(0, 100)}"`,
      {
        data: { contentType: type, begins: text.slice(0, 100) },
        cause: error,
      },
    );
  }
}

function errorOf(response: Response, bytes: Uint8Array, peer: string, readError: ClientOptions["readError"]): AppError {
  const text = new TextDecoder().decode(bytes);
  const type = response.headers.get("content-type") ?? "";
  let body: unknown = text;
  if (type.startsWith(problemContentType) || type.startsWith("application/json")) {
    try {
      body = JSON.parse(text);
    } catch {
      body = text;
    }
  }
  const known = readError?.(response.status, body);
  if (known !== undefined) return known;
  const error = errorFromProblem(response.status, body);
  if (error.data["status"] === undefined) return error;
  return new AppError(error.code, `${peer}: ${error.message}`, {
    data: { ...error.data, peer },
    retryable: error.retryable,
  });
}
