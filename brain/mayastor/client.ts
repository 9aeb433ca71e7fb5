/** Mayastor's REST API v0. Reads only, so far: lists, page by page, and what the server can do. */
import { AppError, type ErrorCode } from "@couchestor/common/errors/app-error.ts";
import { type ClientOptions, createClient, type HttpClient } from "@couchestor/common/http/client.ts";
import type { PolicySettings } from "@couchestor/common/resilience/policies.ts";
import { z } from "zod";
import {
  type MayastorNode,
  type MayastorPool,
  type MayastorVolume,
  nodeSchema,
  poolSchema,
  restErrorSchema,
  volumePageSchema,
  volumeSchema,
} from "./model.ts";

export interface MayastorOptions {
  /** `http://mayastor-api-rest.mayastor.svc:8081`, without `/v0`. */
  url: string;
  tls?: ClientOptions["tls"];
  /** Sent with each request, such as an authorization. Asked each time: tokens rotate. */
  headers?: () => Record<string, string>;
  policy?: PolicySettings;
  /** Volumes asked for at once. */
  pageEntries?: number;
}

/** What can be read of a list, and what can't. */
export interface MayastorList<T> {
  items: T[];
  /** Objects of a form that is not understood, each with what is wrong. */
  unreadable: string[];
}

export interface MayastorFeatures {
  /** 2.10 and newer. */
  poolCordon: boolean;
  poolDrain: boolean;
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
const pageEntriesDefault = 500;
const volumesMax = 100_000;
const answerBytesMax = 64 * 1024 * 1024;
const unreadableMax = 16;

export class MayastorClient {
  readonly url: string;
  readonly #options: MayastorOptions;
  readonly #client: HttpClient;

  constructor(options: MayastorOptions) {
    this.url = options.url.replace(/\/+$/, "");
    this.#options = options;
    const { tls, policy = mayastorPolicy } = options;
    this.#client = createClient({ peer: "Mayastor", baseUrl: this.url, tls, policy, readError });
  }

  /** All volumes, each once, although the server's pages may shift while they are read. */
  async volumes(signal?: AbortSignal): Promise<MayastorList<MayastorVolume>> {
    const found = new Map<string, MayastorVolume>();
    const unreadable: string[] = [];
    const max_entries = this.#options.pageEntries ?? pageEntriesDefault;
    let starting_token: number | undefined;
    do {
      const page = await this.#get("/volumes", volumePageSchema, { max_entries, starting_token }, signal);
      for (const entry of page.entries) {
        const volume = readOne("volume", volumeSchema, entry, unreadable);
        if (volume !== undefined) found.set(volume.spec.uuid, volume);
      }
      if (found.size > volumesMax) {
        throw new AppError(
          "TooLarge",
          `Mayastor has more than ${volumesMax} volumes, which is more than can be watched`,
        );
      }
      const next = page.next_token ?? undefined;
      if (next !== undefined && next <= (starting_token ?? 0)) {
        throw new AppError(
          "Internal",
          `Mayastor's list of volumes does not go on: after ${starting_token} comes ${next}`,
        );
      }
      starting_token = next;
    } while (starting_token !== undefined);
    return { items: [...found.values()], unreadable };
  }

  /** One volume, from the server's cache, which may be half a minute old. Undefined if there is none. */
  async volume(uuid: string, signal?: AbortSignal): Promise<MayastorVolume | undefined> {
    try {
      return await this.#get(`/volumes/${encodeURIComponent(uuid)}`, volumeSchema, {}, signal);
    } catch (error) {
      // Only Mayastor's own word that there is none counts; a proxy's 404 does not.
      if (error instanceof AppError && error.code === "NotFound" && error.data["kind"] === "NotFound") return undefined;
      throw error;
    }
  }

  async pools(signal?: AbortSignal): Promise<MayastorList<MayastorPool>> {
    return await this.#list("pool", "/pools", poolSchema, signal);
  }

  async nodes(signal?: AbortSignal): Promise<MayastorList<MayastorNode>> {
    return await this.#list("node", "/nodes", nodeSchema, signal);
  }

  /** What the server can do, by the paths that its own description names. */
  async features(signal?: AbortSignal): Promise<MayastorFeatures> {
    const { paths } = await this.#get("/api/spec", z.object({ paths: z.record(z.string(), z.unknown()) }), {}, signal);
    const has = (pattern: RegExp): boolean => Object.keys(paths).some((path) => pattern.test(path));
    return { poolCordon: has(/\/pools\/\{[^}]+\}\/cordon$/), poolDrain: has(/\/pools\/\{[^}]+\}\/drain$/) };
  }

  async #list<S extends z.ZodType>(
    what: string,
    path: string,
    schema: S,
    signal: AbortSignal | undefined,
  ): Promise<MayastorList<z.output<S>>> {
    const unreadable: string[] = [];
    const entries = await this.#get(path, z.array(z.unknown()), {}, signal);
    const items = entries.flatMap((entry) => {
      const item = readOne(what, schema, entry, unreadable);
      return item === undefined ? [] : [item];
    });
    return { items, unreadable };
  }

  #get<S extends z.ZodType>(
    path: string,
    schema: S,
    query: Record<string, number | undefined>,
    signal: AbortSignal | undefined,
  ): Promise<z.output<S>> {
    const { headers } = this.#options;
    const sent = headers === undefined ? {} : { headers: headers() };
    return this.#client.json("GET", `/v0${path}`, schema, { query, signal, answerBytesMax, ...sent });
  }
}

function readOne<S extends z.ZodType>(
  what: string,
  schema: S,
  entry: unknown,
  unreadable: string[],
): z.output<S> | undefined {
  const parsed = schema.safeParse(entry);
  if (parsed.success) return parsed.data;
  if (unreadable.length < unreadableMax) {
    const [issue] = parsed.error.issues;
    const name = nameOf(entry);
    unreadable.push(`${what} ${name}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not understood"}`);
  }
  return undefined;
}

function nameOf(entry: unknown): string {
  const { id, spec } = (entry ?? {}) as { id?: unknown; spec?: { uuid?: unknown } | null };
  const name = id ?? spec?.uuid;
  return typeof name === "string" ? name.slice(0, 64) : "without a name";
}

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
  503: "Unavailable",
  504: "Timeout",
  507: "NoSpace",
};

/** Mayastor's own errors. Timeout and Unavailable leave open whether what was asked for happens. */
function readError(status: number, body: unknown): AppError | undefined {
  const parsed = restErrorSchema.safeParse(body);
  if (!parsed.success) return undefined;
  const { kind, details, message } = parsed.data;
  const text = [details, message].filter((part) => part !== "").join("; ");
  const access = status === 401 || status === 403 ? "; give the brain a token that Mayastor accepts" : "";
  return new AppError(codes[status] ?? "Internal", `Mayastor: ${kind}: ${text.slice(0, 500)}${access}`, {
    data: { status, kind, details: details.slice(0, 2_000) },
  });
}
