/** The routes of Mayastor's REST API v0, answered by the simulated control plane. An answer comes later, in the simulator's time. */
import type { MayastorRequest } from "../../mayastor/transport.ts";
import type { MayastorCluster } from "./cluster.ts";
import { mayastorDescription } from "./description.ts";
import { type Answer, ok, problem } from "./rest-answer.ts";
import { type Slowness, setReplicaCount } from "./set-replica.ts";
import { atLeast } from "./settings.ts";
import { type Actor, internalLabel, type PoolCordon, type TruthNode, type TruthPool } from "./truth.ts";
import { nodeView, poolView, rebuildHistoryView, replicaViews, volumeView } from "./views.ts";

export interface Call {
  request: Pick<MayastorRequest, "method" | "path" | "body">;
  by: Actor;
  slow: Slowness | undefined;
  /** Called once, unless nothing ever answers. */
  reply: (answer: Answer) => void;
}

const readMs = 5;
const writeMs = 20;
let described: unknown;

/** Answers a call, now or when the simulator's time has gone on. */
export function callRest(cluster: MayastorCluster, call: Call): void {
  const url = new URL(call.request.path, "http://mayastor");
  const path = url.pathname.replace(/^\/v0/, "");
  const answerLater = (ms: number, answer: () => Answer) =>
    cluster.timeline.after(ms, () => call.reply(cluster.coreUp ? answer() : coreIsDown()));
  if (path === "/api/spec") {
    cluster.timeline.after(readMs, () => call.reply(ok(description(cluster))));
    return;
  }
  if (!cluster.coreUp) {
    cluster.timeline.after(readMs, () => call.reply(coreIsDown()));
    return;
  }
  if (call.request.method === "GET") {
    answerLater(readMs, () => read(cluster, path, url.searchParams));
    return;
  }
  const count = /^\/volumes\/([^/]+)\/replica_count\/(\d+)$/.exec(path);
  if (count !== null && call.request.method === "PUT") {
    const [, volume = "", number = ""] = count;
    const { by, slow, reply } = call;
    const request = {
      volume,
      count: Number(number),
      by,
      slow,
      reply,
      show: (v: Parameters<typeof volumeView>[1]) => volumeView(cluster, v),
    };
    cluster.timeline.after(writeMs, () => setReplicaCount(cluster, request));
    return;
  }
  // A step of no name: a simple write is slow as a whole.
  answerLater(writeMs + (call.slow?.ms ?? 0), () => write(cluster, call, path, url.searchParams));
}

function coreIsDown(): Answer {
  return problem(503, "Unavailable", "transport error");
}

function read(cluster: MayastorCluster, path: string, query: URLSearchParams): Answer {
  const [, what = "", id, more] = path.split("/").map(decodeURIComponent);
  if (what === "nodes" && more === undefined) return some("Node", id, cluster.nodes, (node) => nodeView(cluster, node));
  if (what === "pools" && more === undefined) return some("Pool", id, cluster.pools, (pool) => poolView(cluster, pool));
  if (what === "replicas" && id === undefined)
    return ok([...cluster.volumes.values()].flatMap((volume) => replicaViews(cluster, volume)));
  if (what === "volumes" && id === undefined) return volumePage(cluster, query);
  if (what === "volumes" && more === undefined)
    return some("Volume", id, cluster.volumes, (volume) => volumeView(cluster, volume));
  if (what === "volumes" && more === "rebuild-history") return rebuildHistory(cluster, id ?? "");
  return { status: 404 };
}

function some<T>(
  what: string,
  id: string | undefined,
  from: ReadonlyMap<string, T>,
  view: (found: T) => unknown,
): Answer {
  if (id === undefined) return ok([...from.values()].map(view));
  const found = from.get(id);
  return found === undefined ? problem(404, "NotFound", `${what} '${id}' not found`) : ok(view(found));
}

function volumePage(cluster: MayastorCluster, query: URLSearchParams): Answer {
  const text = query.get("max_entries");
  const max = Number(text ?? Number.NaN);
  if (!Number.isInteger(max)) return problem(400, "Deserialize", "missing field `max_entries`");
  const start = Number(query.get("starting_token") ?? 0);
  const all = [...cluster.volumes.values()];
  const end = max <= 0 ? all.length : start + max;
  const entries = all.slice(start, end).map((volume) => volumeView(cluster, volume));
  return ok({ entries, ...(end < all.length ? { next_token: end } : {}) });
}

function rebuildHistory(cluster: MayastorCluster, id: string): Answer {
  const volume = cluster.volumes.get(id);
  if (volume === undefined) return problem(404, "NotFound", `Volume '${id}' not found`);
  if (volume.nexus === undefined) return problem(412, "FailedPrecondition", "the volume is not published");
  if (volume.nexus.history.length === 0) return problem(404, "NotFound", "there is no rebuild history");
  return ok(rebuildHistoryView(volume));
}

function write(cluster: MayastorCluster, call: Call, path: string, query: URLSearchParams): Answer {
  const { method, body } = call.request;
  const [, what = "", id = "", action = "", rest = ""] = path.split("/").map(decodeURIComponent);
  if (what === "nodes" && action === "cordon") return cordonNode(cluster, id, rest, method === "PUT");
  if (what === "pools" && action === "label") {
    const pool = cluster.pools.get(id);
    if (pool === undefined) return problem(404, "NotFound", `Pool '${id}' not found`);
    if (cluster.storeDown) return problem(507, "FailedPersist", "failed to persist to the store");
    return method === "PUT"
      ? setLabel(cluster, pool, rest, query.get("overwrite") === "true")
      : dropLabel(cluster, pool, rest);
  }
  if (what === "pools" && action === "cordon" && atLeast(cluster.settings, 10))
    return cordonPool(cluster, id, body, method === "PUT");
  return { status: 404 };
}

function cordonNode(cluster: MayastorCluster, id: string, label: string, on: boolean): Answer {
  const node: TruthNode | undefined = cluster.nodes.get(id);
  if (node === undefined) return problem(404, "NotFound", `Node '${id}' not found`);
  if (node.dirty) return problem(507, "FailedPersist", "StoreDirty: an earlier write of this node is not settled");
  if (cluster.storeDown) {
    node.dirty = true;
    return problem(507, "FailedPersist", "failed to persist to the store");
  }
  if (node.cordons.has(label) === on)
    return problem(412, "FailedPrecondition", on ? `already cordoned with ${label}` : `not cordoned with ${label}`);
  if (on) node.cordons.add(label);
  else node.cordons.delete(label);
  return ok(nodeView(cluster, node));
}

function cordonPool(cluster: MayastorCluster, id: string, body: unknown, on: boolean): Answer {
  const pool = cluster.pools.get(id);
  if (pool === undefined) return problem(404, "NotFound", `Pool '${id}' not found`);
  if (cluster.storeDown) return problem(507, "FailedPersist", "failed to persist to the store");
  const asked = (body ?? {}) as Partial<PoolCordon>;
  const bits = (["replicas", "snapshots", "restores", "import"] as const).filter((bit) => asked[bit] === true);
  if (bits.length === 0) return problem(400, "InvalidArgument", "no resource is named");
  if (bits.every((bit) => pool.cordon[bit] === on))
    return problem(422, "AlreadyExists", on ? "the pool is cordoned already" : "the pool is not cordoned");
  for (const bit of bits) pool.cordon[bit] = on;
  return ok(poolView(cluster, pool));
}

function setLabel(cluster: MayastorCluster, pool: TruthPool, label: string, overwrite: boolean): Answer {
  const [key = "", value = ""] = label.split("=");
  const before = pool.labels[key];
  if (before !== undefined && before !== value && !overwrite)
    return problem(412, "FailedPrecondition", `the label ${key} has the value ${before} already`);
  pool.labels[key] = value;
  return ok(poolView(cluster, pool));
}

function dropLabel(cluster: MayastorCluster, pool: TruthPool, key: string): Answer {
  if (key === internalLabel) return problem(400, "InvalidArgument", `the label ${key} is internal`);
  if (pool.labels[key] === undefined) return problem(412, "FailedPrecondition", `there is no label ${key}`);
  delete pool.labels[key];
  return ok(poolView(cluster, pool));
}

/** Paths alone tell what a server can do. */
function description(cluster: MayastorCluster): unknown {
  described ??= mayastorDescription();
  const { paths } = described as { paths: Record<string, unknown> };
  const served = Object.keys(paths).filter(
    (path) => atLeast(cluster.settings, 10) || path !== "/pools/{pool_id}/cordon",
  );
  return { paths: Object.fromEntries(served.map((path) => [path, {}])) };
}
