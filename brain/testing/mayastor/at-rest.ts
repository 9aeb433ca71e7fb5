/**
 * Mayastor's control plane, as far as its REST API v0 shows it at rest: nodes, pools with labels, volumes with replicas. Answers as the
 * real one does, errors included; can also be down, slow, of another version, or behind a proxy.
 */
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import {
  nodeAnswer,
  poolAnswer,
  replicaAnswers,
  type SimNode,
  type SimPool,
  type SimVolume,
  volumeAnswer,
} from "./answers.ts";
import { mayastorDescription } from "./description.ts";
import { internalLabel } from "./truth.ts";

/** How it answers anything at all. */
export type SimMode = "well" | "html" | "core-down" | "silent";

export class MayastorSim implements AsyncDisposable {
  readonly nodes = new Map<string, SimNode>();
  readonly pools = new Map<string, SimPool>();
  readonly volumes = new Map<string, SimVolume>();
  mode: SimMode = "well";
  /** Fields, paths and words of versions newer than the published description. */
  newer = false;
  /** Before each answer. */
  delayMs = 0;
  /** `METHOD path?query` of every call, in order. */
  readonly calls: string[] = [];
  /** Told of every JSON answer, for checks. */
  onAnswer: ((method: string, path: string, status: number, body: unknown) => void) | undefined;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor() {
    const app = this.#routes();
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      fetch: (request) => this.#answer(app, request),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  addNode(id: string, more: Partial<SimNode> = {}): SimNode {
    const node = { id, labels: {}, status: "Online", cordons: [], version: "v2.9.0", ...more };
    this.nodes.set(id, node);
    return node;
  }

  /** A pool with the label that every pool of the operator carries. */
  addPool(id: string, node: string, labels: Record<string, string>, more: Partial<SimPool> = {}): SimPool {
    if (!this.nodes.has(node)) this.addNode(node);
    const capacityBytes = more.capacityBytes ?? 1024 ** 4;
    const pool = {
      id,
      node,
      labels: { [internalLabel]: "operator-diskpool", ...labels },
      status: "Online",
      usedBytes: 0,
      committedBytes: 0,
      ...more,
      capacityBytes,
    };
    this.pools.set(id, pool);
    return pool;
  }

  /** A volume with a replica on each of the pools, whose space it uses. Published on the first one's node unless told otherwise. */
  addVolume(uuid: string, poolIds: readonly string[], more: Partial<SimVolume> = {}): SimVolume {
    const sizeBytes = more.sizeBytes ?? 1024 ** 3;
    const replicas = poolIds.map((poolId, i) => {
      const pool = this.pools.get(poolId);
      if (pool === undefined) throw new Error(`the simulator has no pool ${poolId}`);
      pool.usedBytes += sizeBytes;
      pool.committedBytes += sizeBytes;
      return { uuid: replicaUuid(uuid, i), pool: poolId, node: pool.node, state: "Online", childStatus: "Online" };
    });
    const volume: SimVolume = {
      uuid,
      replicas,
      numReplicas: replicas.length,
      status: "Online",
      thin: true,
      selfHeal: true,
      snapshots: 0,
      publishedOn: replicas[0]?.node,
      poolInclusion: { [internalLabel]: "operator-diskpool" },
      ...more,
      sizeBytes,
    };
    this.volumes.set(uuid, volume);
    return volume;
  }

  async #answer(app: Hono, request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    this.calls.push(`${request.method} ${pathname}${search}`);
    if (this.delayMs > 0) await systemClock.sleep(this.delayMs);
    if (this.mode === "silent") return await new Promise<Response>(() => undefined);
    if (this.mode === "html")
      return new Response("<html>Bad Gateway</html>", { headers: { "content-type": "text/html" } });
    if (this.mode === "core-down" && pathname !== "/v0/api/spec")
      return this.#send(request, problem(503, "Unavailable", "transport error"));
    return await app.fetch(request);
  }

  #send(request: Request, answer: Answer): Response {
    const path = new URL(request.url).pathname.replace(/^\/v0/, "");
    this.onAnswer?.(request.method, path, answer.status, answer.body);
    return answer.body === undefined
      ? new Response(null, { status: answer.status })
      : Response.json(answer.body, { status: answer.status });
  }

  #routes(): Hono {
    const app = new Hono();
    const get = (path: string, answer: (name: string, query: URLSearchParams) => Answer) =>
      app.get(`/v0${path}`, (c) =>
        this.#send(c.req.raw, answer(c.req.param("id") ?? "", new URL(c.req.url).searchParams)),
      );
    app.get("/v0/api/spec", (c) => c.json(this.#description()));
    get("/nodes", () => ok([...this.nodes.values()].map(nodeAnswer)));
    get("/nodes/:id", (id) => this.#one("Node", id, this.nodes, nodeAnswer));
    get("/pools", () => ok([...this.pools.values()].map((pool) => poolAnswer(pool, this.newer))));
    get("/pools/:id", (id) => this.#one("Pool", id, this.pools, (pool) => poolAnswer(pool, this.newer)));
    get("/replicas", () => ok([...this.volumes.values()].flatMap(replicaAnswers)));
    get("/volumes", (_, query) => this.#volumePage(query));
    get("/volumes/:id", (id) => this.#one("Volume", id, this.volumes, (volume) => volumeAnswer(volume, this.newer)));
    app.put("/v0/pools/:id/label/:label", (c) =>
      this.#send(
        c.req.raw,
        this.#setLabel(c.req.param("id"), c.req.param("label"), c.req.query("overwrite") === "true"),
      ),
    );
    app.delete("/v0/pools/:id/label/:key", (c) =>
      this.#send(c.req.raw, this.#dropLabel(c.req.param("id"), c.req.param("key"))),
    );
    app.notFound(() => new Response(null, { status: 404 }));
    return app;
  }

  #one<T>(what: string, id: string, from: ReadonlyMap<string, T>, answer: (found: T) => unknown): Answer {
    const found = from.get(id);
    return found === undefined ? problem(404, "NotFound", `${what} '${id}' not found`) : ok(answer(found));
  }

  /** 0 and below: everything. The token is an offset into a list that may change between two pages. */
  #volumePage(query: URLSearchParams): Answer {
    const entries = [...this.volumes.values()].map((volume) => volumeAnswer(volume, this.newer));
    const only = query.get("volume_id");
    if (only !== null) return ok({ entries: entries.filter((entry) => entry.spec.uuid === only) });
    const text = query.get("max_entries");
    const max = Number(text ?? Number.NaN);
    if (!Number.isInteger(max)) return problem(400, "Deserialize", "missing field `max_entries`");
    const start = Number(query.get("starting_token") ?? 0);
    if (max <= 0) return ok({ entries: entries.slice(start) });
    const end = start + max;
    return ok({ entries: entries.slice(start, end), ...(end < entries.length ? { next_token: end } : {}) });
  }

  #setLabel(id: string, label: string, overwrite: boolean): Answer {
    const pool = this.pools.get(id);
    if (pool === undefined) return problem(404, "NotFound", `Pool '${id}' not found`);
    const [key = "", value = ""] = label.split("=");
    const before = pool.labels[key];
    if (before !== undefined && before !== value && !overwrite) {
      return problem(412, "FailedPrecondition", `the label ${key} has the value ${before} already`);
    }
    pool.labels[key] = value;
    return ok(poolAnswer(pool, this.newer));
  }

  #dropLabel(id: string, key: string): Answer {
    const pool = this.pools.get(id);
    if (pool === undefined) return problem(404, "NotFound", `Pool '${id}' not found`);
    if (key === internalLabel) return problem(400, "InvalidArgument", `the label ${key} is internal`);
    if (pool.labels[key] === undefined) return problem(412, "FailedPrecondition", `there is no label ${key}`);
    delete pool.labels[key];
    return ok(poolAnswer(pool, this.newer));
  }

  #description(): unknown {
    const description = mayastorDescription();
    if (!this.newer) delete (description["paths"] as Record<string, unknown>)["/pools/{pool_id}/cordon"];
    return description;
  }
}

interface Answer {
  status: ContentfulStatusCode;
  body: unknown;
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function problem(status: ContentfulStatusCode, kind: string, details: string): Answer {
  return { status, body: { details, message: `SvcError :: ${kind}`, kind } };
}

/** A replica's uuid, made from its volume's and its number. */
export function replicaUuid(volumeUuid: string, index: number): string {
  const tail = (Number.parseInt(volumeUuid.slice(-4), 16) ^ (index + 1)).toString(16).padStart(4, "0");
  return `${(0xa0000000 + index).toString(16)}${volumeUuid.slice(8, -4)}${tail}`;
}
