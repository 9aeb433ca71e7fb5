/** Mayastor's REST API v0: what it tells, read tolerantly, and the few changes that migrations need. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { z } from "zod";
import { HttpTransport, type HttpTransportOptions } from "./http-transport.ts";
import {
  descriptionSchema,
  type MayastorNode,
  type MayastorPool,
  type MayastorVolume,
  nodeSchema,
  poolSchema,
  type RebuildHistory,
  rebuildHistorySchema,
  volumePageSchema,
  volumeSchema,
} from "./model.ts";
import { answerError, outcomeOf, outcomeOfError, type WriteOutcome } from "./outcome.ts";
import type { MayastorAnswer, MayastorRequest, MayastorTransport } from "./transport.ts";

export type MayastorOptions = (HttpTransportOptions | { transport: MayastorTransport }) & {
  /** Volumes asked for at once. */
  pageEntries?: number;
};

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

const pageEntriesDefault = 500;
const volumesMax = 100_000;
const unreadableMax = 16;

/** What a cordon of a pool keeps away: replicas alone. */
const poolCordonBody = { replicas: true, snapshots: false, restores: false, import: false };

export class MayastorClient {
  /** Where it is, for messages. */
  readonly url: string;
  readonly #transport: MayastorTransport;
  readonly #pageEntries: number;

  constructor(options: MayastorOptions) {
    this.url = "url" in options ? options.url.replace(/\/+$/, "") : "in this process";
    this.#transport = "url" in options ? new HttpTransport(options) : options.transport;
    this.#pageEntries = options.pageEntries ?? pageEntriesDefault;
  }

  /** All volumes, each once, although the server's pages may shift while they are read. */
  async volumes(signal?: AbortSignal): Promise<MayastorList<MayastorVolume>> {
    const found = new Map<string, MayastorVolume>();
    const unreadable: string[] = [];
    let token: number | undefined;
    do {
      const from = token === undefined ? "" : `&starting_token=${token}`;
      const page = await this.#get(`/volumes?max_entries=${this.#pageEntries}${from}`, volumePageSchema, signal);
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
      if (next !== undefined && next <= (token ?? 0)) {
        throw new AppError("Internal", `Mayastor's list of volumes does not go on: after ${token} comes ${next}`);
      }
      token = next;
    } while (token !== undefined);
    return { items: [...found.values()], unreadable };
  }

  /** One volume, from the server's cache, which may be half a minute old. Undefined if there is none. */
  async volume(uuid: string, signal?: AbortSignal): Promise<MayastorVolume | undefined> {
    try {
      return await this.#get(`/volumes/${encodeURIComponent(uuid)}`, volumeSchema, signal);
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

  /** The latest rebuilds of a published volume. Undefined if it has none, or isn't published. */
  async rebuildHistory(uuid: string, signal?: AbortSignal): Promise<RebuildHistory | undefined> {
    try {
      return await this.#get(`/volumes/${encodeURIComponent(uuid)}/rebuild-history`, rebuildHistorySchema, signal);
    } catch (error) {
      if (error instanceof AppError && (error.code === "NotFound" || error.code === "FailedPrecondition"))
        return undefined;
      throw error;
    }
  }

  /** What the server can do, by the paths that its own description names. */
  async features(signal?: AbortSignal): Promise<MayastorFeatures> {
    const { paths } = await this.#get("/api/spec", descriptionSchema, signal);
    const has = (pattern: RegExp): boolean => Object.keys(paths).some((path) => pattern.test(path));
    return { poolCordon: has(/\/pools\/\{[^}]+\}\/cordon$/), poolDrain: has(/\/pools\/\{[^}]+\}\/drain$/) };
  }

  /** Sets how many replicas a volume is to have; the server takes steps of one only. The copying goes on behind the answer. */
  async setReplicaCount(uuid: string, count: number, signal?: AbortSignal): Promise<WriteOutcome> {
    return await this.#write("PUT", `/volumes/${encodeURIComponent(uuid)}/replica_count/${count}`, signal);
  }

  /** Keeps new replicas off a pool. Cordons of pools are not counted: whoever lifts one lifts everybody's. 2.10 and newer. */
  async cordonPool(pool: string, signal?: AbortSignal): Promise<WriteOutcome> {
    return await this.#write("PUT", `/pools/${encodeURIComponent(pool)}/cordon`, signal, poolCordonBody);
  }

  async uncordonPool(pool: string, signal?: AbortSignal): Promise<WriteOutcome> {
    return await this.#write("DELETE", `/pools/${encodeURIComponent(pool)}/cordon`, signal, poolCordonBody);
  }

  /** Keeps new replicas and targets off a node until each label it was cordoned with has been taken back. */
  async cordonNode(node: string, label: string, signal?: AbortSignal): Promise<WriteOutcome> {
    return await this.#write("PUT", nodeCordonPath(node, label), signal);
  }

  async uncordonNode(node: string, label: string, signal?: AbortSignal): Promise<WriteOutcome> {
    return await this.#write("DELETE", nodeCordonPath(node, label), signal);
  }

  /** Gives a pool a label. Refused if it has the key with another value. */
  async setPoolLabel(pool: string, key: string, value: string, signal?: AbortSignal): Promise<WriteOutcome> {
    const label = `${encodeURIComponent(key)}=${encodeURIComponent(value)}`;
    return await this.#write("PUT", `/pools/${encodeURIComponent(pool)}/label/${label}`, signal);
  }

  async removePoolLabel(pool: string, key: string, signal?: AbortSignal): Promise<WriteOutcome> {
    return await this.#write("DELETE", `/pools/${encodeURIComponent(pool)}/label/${encodeURIComponent(key)}`, signal);
  }

  async #list<S extends z.ZodType>(
    what: string,
    path: string,
    schema: S,
    signal: AbortSignal | undefined,
  ): Promise<MayastorList<z.output<S>>> {
    const unreadable: string[] = [];
    const entries = await this.#get(path, z.array(z.unknown()), signal);
    const items = entries.flatMap((entry) => {
      const item = readOne(what, schema, entry, unreadable);
      return item === undefined ? [] : [item];
    });
    return { items, unreadable };
  }

  async #get<S extends z.ZodType>(path: string, schema: S, signal: AbortSignal | undefined): Promise<z.output<S>> {
    const what = `the answer of Mayastor to GET /v0${path}`;
    const answer = await this.#send({ method: "GET", path: `/v0${path}`, signal });
    const { status, body } = answer;
    if (status < 200 || status >= 300) throw answerError(`GET /v0${path}`, answer);
    if (body === undefined || typeof body === "string") {
      const begins = (body ?? "").slice(0, 100);
      throw new AppError("Internal", `${what} is not JSON: it begins "${begins}"`, { data: { begins } });
    }
    try {
      return parseOrThrow(schema, body, what);
    } catch (error) {
      throw new AppError("Internal", error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  async #write(
    method: "PUT" | "DELETE",
    path: string,
    signal: AbortSignal | undefined,
    body?: object,
  ): Promise<WriteOutcome> {
    const what = `${method} /v0${path}`;
    try {
      return outcomeOf(what, await this.#send({ method, path: `/v0${path}`, body, signal }));
    } catch (error) {
      return outcomeOfError(error);
    }
  }

  #send(request: MayastorRequest): Promise<MayastorAnswer> {
    return this.#transport.request(request);
  }
}

function nodeCordonPath(node: string, label: string): string {
  return `/nodes/${encodeURIComponent(node)}/cordon/${encodeURIComponent(label)}`;
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
