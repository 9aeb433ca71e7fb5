/** Topologies for tests and benches. */
import type { TopologyPool } from "./topology.ts";

export const gib = 2 ** 30;

export function samplePool(node: number, pool: number, more: Partial<TopologyPool> = {}): TopologyPool {
  return {
    poolUuid: `00000000-0000-4000-8000-${(node * 1000 + pool).toString(16).padStart(12, "0")}`,
    poolName: `pool-${pool}`,
    nodeName: `node-${node}`,
    labels: { rack: `rack-${node % 40}` },
    capacityBytes: 1000 * gib,
    usedBytes: 0,
    online: true,
    writable: true,
    ...more,
  };
}

/** `nodes` × `poolsPerNode` pools. */
export function samplePools(nodes: number, poolsPerNode: number, more: Partial<TopologyPool> = {}): TopologyPool[] {
  return Array.from({ length: nodes }, (_, node) =>
    Array.from({ length: poolsPerNode }, (_, pool) => samplePool(node, pool, more)),
  ).flat();
}
