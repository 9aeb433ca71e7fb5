/**
 * Prometheus' HTTP API, as far as it is asked here: instant and range queries whose answers are checked and bounded. A breaker, a rate
 * limit and timeouts keep a sick Prometheus from making the brain sick, and the brain from making it worse.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type ClientOptions, createClient, type HttpClient } from "@couchestor/common/http/client.ts";
import type { PolicySettings } from "@couchestor/common/resilience/policies.ts";
import { TokenBucket } from "@couchestor/common/resilience/token-bucket.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { z } from "zod";

export interface PrometheusOptions {
  /** `http://prometheus:9090`, with a path prefix if it has one. */
  url: string;
  tls?: ClientOptions["tls"];
  /** Sent with each request, such as an authorization. Asked each time: tokens rotate. */
  headers?: () => Record<string, string>;
  policy?: PolicySettings;
  /** Requests over time and at once. */
  ratePerSecond?: number;
  burst?: number;
  answerBytesMax?: number;
  seriesMax?: number;
}

/** One series: its labels, and its values as `[seconds, text]`. */
export interface Series {
  labels: Readonly<Record<string, string>>;
  values: readonly (readonly [number, string])[];
}

export const prometheusPolicy: PolicySettings = {
  timeoutMs: 20_000,
  attemptsMax: 2,
  pauseMs: 200,
  pauseMsMax: 1_000,
  failuresToOpen: 5,
  openMs: 10_000,
};
/** 10,000 volumes with 31 points each are 11 MiB. */
export const answerBytesMaxDefault = 64 * 1024 * 1024;
export const seriesMaxDefault = 100_000;

const labelsSchema = z.record(z.string().max(1024), z.string().max(65_536));
const vectorSchema = z.object({ metric: labelsSchema, value: z.tuple([z.number(), z.string()]) });
const answerSchema = z.object({
  status: z.literal("success"),
  data: z.object({ resultType: z.string(), result: z.array(z.unknown()) }),
});
const errorSchema = z.object({ status: z.literal("error"), errorType: z.string(), error: z.string() });

export class PrometheusApi {
  readonly url: string;
  readonly #client: HttpClient;
  readonly #bucket: TokenBucket;
  readonly #options: PrometheusOptions;
  #requests = 0;

  constructor(clock: Clock, options: PrometheusOptions) {
    this.url = options.url.replace(/\/+$/, "");
    this.#options = options;
    const { policy = prometheusPolicy, ratePerSecond = 10, burst = 20 } = options;
    this.#client = createClient({ peer: "Prometheus", baseUrl: this.url, tls: options.tls, policy, readError });
    this.#bucket = new TokenBucket(clock, { ratePerSecond, burst });
  }

  /** Requests sent since the start, repetitions not counted. */
  get requests(): number {
    return this.#requests;
  }

  /** Throws unless it answers a query. */
  async ping(signal?: AbortSignal): Promise<void> {
    await this.#ask("/api/v1/query", { query: "vector(1)" }, "vector", signal);
  }

  /** The values at Prometheus' own present. */
  async instant(query: string, signal?: AbortSignal): Promise<Series[]> {
    const result = await this.#ask("/api/v1/query", { query }, "vector", signal);
    return result.map((entry, i) => {
      const parsed = vectorSchema.safeParse(entry);
      if (!parsed.success) throw strange(query, `entry ${i} of the vector is none`);
      return { labels: parsed.data.metric, values: [parsed.data.value] };
    });
  }

  /** The values at `startMs`, `startMs + stepMs` … `endMs`, wall-clock time of Prometheus. */
  async range(
    query: string,
    at: { startMs: number; endMs: number; stepMs: number },
    signal?: AbortSignal,
  ): Promise<Series[]> {
    const seconds = (ms: number): string => (ms / 1000).toFixed(3);
    const times = { start: seconds(at.startMs), end: seconds(at.endMs), step: seconds(at.stepMs) };
    const result = await this.#ask("/api/v1/query_range", { query, ...times }, "matrix", signal);
    return result.map((entry, i) => matrixEntry(query, entry, i));
  }

  async #ask(
    path: string,
    query: Record<string, string>,
    resultType: string,
    signal: AbortSignal | undefined,
  ): Promise<unknown[]> {
    const { headers, answerBytesMax = answerBytesMaxDefault, seriesMax = seriesMaxDefault } = this.#options;
    await this.#bucket.take(1, signal);
    this.#requests += 1;
    const sent = headers === undefined ? {} : { headers: headers() };
    const answer = await this.#client
      .json("GET", path, answerSchema, { query, answerBytesMax, signal, ...sent })
      .catch((error) => {
        throw error instanceof AppError && error.code === "TooLarge"
          ? tooMuch(`more than ${answerBytesMax} bytes`)
          : error;
      });
    if (answer.data.resultType !== resultType) {
      throw strange(query["query"] ?? "", `got a ${answer.data.resultType}, wanted a ${resultType}`);
    }
    if (answer.data.result.length > seriesMax) {
      throw tooMuch(`${answer.data.result.length} series, at most ${seriesMax} are read`);
    }
    return answer.data.result;
  }
}

/** By hand: a million small tuples are too many for a general validator. */
function matrixEntry(query: string, entry: unknown, index: number): Series {
  const { metric, values } = (entry ?? {}) as { metric?: unknown; values?: unknown };
  const labels = labelsSchema.safeParse(metric);
  if (!labels.success || !Array.isArray(values)) throw strange(query, `entry ${index} of the matrix is no series`);
  for (const value of values) {
    if (!Array.isArray(value) || typeof value[0] !== "number" || typeof value[1] !== "string") {
      throw strange(query, `a value of entry ${index} of the matrix is not [time, text]`);
    }
  }
  return { labels: labels.data, values: values as [number, string][] };
}

function readError(status: number, body: unknown): AppError | undefined {
  if (status === 401 || status === 403) {
    return new AppError(
      "FailedPrecondition",
      `Prometheus refuses the brain (${status}): give it a token with --prometheus-token-file, or a certificate with --prometheus-cert`,
      { data: { status } },
    );
  }
  const parsed = errorSchema.safeParse(body);
  if (!parsed.success) return undefined;
  const { errorType, error } = parsed.data;
  const busy = status === 503 || status === 429 || errorType === "timeout" || errorType === "canceled";
  return new AppError(busy ? "Unavailable" : "Internal", `Prometheus: ${errorType}: ${error.slice(0, 500)}`, {
    data: { status, errorType },
  });
}

function strange(query: string, what: string): AppError {
  return new AppError("Internal", `Prometheus' answer can't be read: ${what}`, { data: { query } });
}

function tooMuch(what: string): AppError {
  return new AppError(
    "TooLarge",
    `Prometheus' answer is too large: ${what}; narrow the series down with --prometheus-selector, or split the volumes between several brains`,
  );
}
