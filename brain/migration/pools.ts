/** Which pools a volume's next replica may be placed on, and which of them it should be. */
import { approximateBytes } from "@couchestor/common/units/bytes.ts";
import type { ClusterView, LabelRule, NodeView, PoolView, VolumeView } from "./view.ts";

/**
 * Whether labels are as a volume wants them. `asServed`: as the server sees to it, which accepts an exclusion and doesn't heed it.
 * `strict`: as it was meant, too.
 */
export function fitsRule(
  labels: Readonly<Record<string, string>>,
  rule: LabelRule,
  mode: "asServed" | "strict",
): boolean {
  const holds = ([key, value]: [string, string]): boolean =>
    Object.hasOwn(labels, key) && (value === "" || labels[key] === value);
  if (!Object.entries(rule.inclusion).every(holds)) return false;
  return mode === "asServed" || !Object.entries(rule.exclusion).some(holds);
}

/** Nodes that host a replica of the volume: the server puts no other there. */
export function usedNodes(volume: VolumeView, cluster: ClusterView): Set<string> {
  return new Set(
    volume.replicas
      .flatMap(({ node, pool }) => [node, cluster.pools.get(pool ?? "")?.node])
      .filter((name) => name !== undefined),
  );
}

function fitsNode(volume: VolumeView, node: NodeView | undefined, name: string): boolean {
  if (volume.allowedNodes !== undefined && !volume.allowedNodes.includes(name)) return false;
  return fitsRule(node?.labels ?? {}, volume.nodeRule, "asServed");
}

/** Every pool that the server might put the next replica on, whatever it is short of at present. */
export function possiblePools(volume: VolumeView, cluster: ClusterView): PoolView[] {
  const used = usedNodes(volume, cluster);
  return [...cluster.pools.values()].filter(
    (pool) =>
      !used.has(pool.node) &&
      fitsNode(volume, cluster.nodes.get(pool.node), pool.node) &&
      fitsRule(pool.labels, volume.poolRule, "asServed"),
  );
}

export interface TargetQuestion {
  volume: VolumeView;
  cluster: ClusterView;
  /** The pools that the migration may use, best first. */
  wanted: readonly string[];
  /** Promised to other migrations, by pool. */
  reservedBytes: ReadonlyMap<string, number>;
}

export type PoolRefusal = "PinnedByTopology" | "NoSpareNode" | "NotEnoughSpace" | "NoUsablePool";

export type Targets = { pools: string[] } | { refused: PoolRefusal; message: string };

/** Those of the wanted pools that can take a whole copy now; or the first thing that keeps all of them from it. */
export function targetPools({ volume, cluster, wanted, reservedBytes }: TargetQuestion): Targets {
  const used = usedNodes(volume, cluster);
  const known = wanted.flatMap((name) => cluster.pools.get(name) ?? []);
  const fitting = known.filter(
    (pool) =>
      fitsRule(pool.labels, volume.poolRule, "strict") && fitsNode(volume, cluster.nodes.get(pool.node), pool.node),
  );
  if (known.length > 0 && fitting.length === 0) return { refused: "PinnedByTopology", message: pinned(volume, known) };
  const spare = fitting.filter((pool) => !used.has(pool.node));
  if (fitting.length > 0 && spare.length === 0) {
    const names = list(fitting.map(({ name, node }) => `${name} on ${node}`));
    return {
      refused: "NoSpareNode",
      message: `each node takes one replica of a volume, and those of the pools it may go to have one: ${names}; add a pool of the tier on another node`,
    };
  }
  const usable = spare.filter((pool) => whyUnusable(pool, cluster) === undefined);
  if (usable.length === 0) {
    const why = spare.map((pool) => `${pool.name}: ${whyUnusable(pool, cluster)}`);
    const none = known.length === 0 ? `none of ${list(wanted)} exists` : list(why);
    return { refused: "NoUsablePool", message: `no pool can take a replica now (${none})` };
  }
  const free = (pool: PoolView): number => pool.freeBytes - (reservedBytes.get(pool.name) ?? 0);
  const roomy = usable.filter((pool) => free(pool) >= volume.sizeBytes);
  if (roomy.length === 0) {
    const rooms = list(usable.map((pool) => `${pool.name}: ${approximateBytes(Math.max(0, free(pool)))}`));
    return {
      refused: "NotEnoughSpace",
      message: `a rebuild may fill ${approximateBytes(volume.sizeBytes)}; free after what is promised: ${rooms}`,
    };
  }
  return { pools: roomy.map(({ name }) => name) };
}

function whyUnusable(pool: PoolView, cluster: ClusterView): string | undefined {
  if (!pool.created) return "it is not there yet or any more";
  if (pool.status === undefined) return "it can't be reached";
  if (pool.status !== "Online") return `it is ${pool.status}`;
  if (pool.cordoned) return "it is cordoned";
  const node = cluster.nodes.get(pool.node);
  if (node?.status !== "Online") return `its node ${pool.node} is ${node?.status ?? "not known"}`;
  return node.cordons.length > 0 ? `its node ${pool.node} is cordoned (${list(node.cordons)})` : undefined;
}

function pinned(volume: VolumeView, pools: readonly PoolView[]): string {
  const labels = Object.entries(volume.poolRule.inclusion).map(([key, value]) =>
    value === "" ? key : `${key}=${value}`,
  );
  const nodes = volume.allowedNodes === undefined ? "" : `, on nodes ${list(volume.allowedNodes)}`;
  return `the volume may only be on pools with ${list(labels)}${nodes}, which ${list(pools.map(({ name }) => name))} are not; that is fixed for a volume: make another one with a StorageClass of the other tier, and copy`;
}

const listedMax = 5;

/** A few of them, and how many more there are. */
export function list(texts: readonly string[]): string {
  const more = texts.length - listedMax;
  return more > 0 ? `${texts.slice(0, listedMax).join(", ")} and ${more} more` : texts.join(", ");
}
