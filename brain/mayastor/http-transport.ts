/** Mayastor's REST API over HTTP: reads are repeated when nobody answers or the server can't, changes never are. */
import { AppError, type ErrorCode, isAppError } from "@couchestor/common/errors/app-error.ts";
import { type ClientOptions, createClient, type HttpClient } from "@couchestor/common/http/client.ts";
import type { PolicySettings } from "@couchestor/common/resilience/policies.ts";
import type { MayastorAnswer, MayastorRequest, MayastorTransport } from "./transport.ts";

export interface HttpTransportOptions {
  /** `http://mayastor-api-rest.mayastor.svc:8081`, without `/v0`. */
  url: string;
  tls?: ClientOptions["tls"];
  /** Sent with each request, such as an authorization. Asked each time: tokens rotate. */
  headers?: (() => Record<string, string>) | undefined;
  policy?: PolicySettings | undefined;
}

/** The server cuts its own work off after up to 30 s. */
export const mayastorPolicy: PolicySettings = {
  timeoutMs: 60_000,
  attemptsMax: 3,
  pauseMs: 500,
  pauseMsMax: 5_000,
  failuresToOpen: 5,
  openMs: 10_000,
};
const answerBytesMax = 64 * 1024 * 1024;

/** What makes a read worth repeating, and a server look ill; all else is an answer like any other. */
const retryableStatus: Readonly<Record<number, ErrorCode>> = { 408: "Timeout", 503: "Unavailable", 504: "Timeout" };

export class HttpTransport implements MayastorTransport {
  readonly #client: HttpClient;
  readonly #headers: () => Record<string, string>;

  constructor(options: HttpTransportOptions) {
    const { tls, policy = mayastorPolicy } = options;
    this.#headers = options.headers ?? (() => ({}));
    this.#client = createClient({
      peer: "Mayastor",
      baseUrl: options.url.replace(/\/+$/, ""),
      tls,
      policy,
      readError: (status, body) =>
        new AppError(retryableStatus[status] ?? "FailedPrecondition", `Mayastor answered ${status}`, {
          data: { answered: { status, body: body === "" ? undefined : body } },
        }),
    });
  }

  async request({ method, path, body, signal }: MayastorRequest): Promise<MayastorAnswer> {
    const sent = body === undefined ? {} : { bytes: new TextEncoder().encode(JSON.stringify(body)) };
    const headers = {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...this.#headers(),
    };
    try {
      const { bytes } = await this.#client.bytes(method, path, { ...sent, headers, signal, answerBytesMax });
      return { status: 200, body: jsonOrText(bytes) };
    } catch (error) {
      const answered = isAppError(error) ? (error.data["answered"] as MayastorAnswer | undefined) : undefined;
      if (answered === undefined) throw error;
      return answered;
    }
  }
}

function jsonOrText(bytes: Uint8Array): unknown {
  const text = new TextDecoder().decode(bytes);
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
