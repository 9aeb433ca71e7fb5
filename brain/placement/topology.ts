/** The pools there are, as one immutable snapshot, and an index over it that counts what a plan adds and takes away. */
import { AppError } from "@couchestor/common/errors/app-error.ts";

export interface TopologyPool {
  poolUuid: string;
  poolName: string;
  nodeName: string;
  /** The node's labels with the pool's laid over them. */
  labels: Readonly<Record<string, string>>;
  capacityBytes: number;
  usedBytes: number;
  /** Its agent answers and the medium can be read. */
  online: boolean;
  /** It takes new chunks. */
  writable: boolean;
}

export interface TopologySnapshot {
  pools: readonly TopologyPool[];
}

export const poolsMax = 65_536;

/** A snapshot by number: pools and nodes as small integers, used bytes as a plan changes them. The snapshot itself is never changed. */
export class TopologyIndex {
  readonly pools: readonly TopologyPool[];
  readonly usedBytes: Float64Array;
  readonly capacityBytes: Float64Array;
  /** Pool → node number. */
  readonly nodeOf: Int32Array;
  readonly nodeCount: number;
  readonly #byUuid = new Map<string, number>();

  /** Throws `InvalidArgument` for two pools of one uuid or sizes that are not numbers of bytes, `TooLarge` beyond `poolsMax`. */
  constructor(topology: TopologySnapshot) {
    const { pools } = topology;
    if (pools.length > poolsMax) {
      throw new AppError("TooLarge", `topology: ${pools.length} pools; at most ${poolsMax} are planned for`, {
        data: { field: "topology.pools", got: pools.length, max: poolsMax },
      });
    }
    this.pools = pools;
    this.usedBytes = new Float64Array(pools.length);
    this.capacityBytes = new Float64Array(pools.length);
    this.nodeOf = new Int32Array(pools.length);
    const nodes = new Map<string, number>();
    for (const [index, pool] of pools.entries()) {
      checkSize(pool, "capacityBytes");
      checkSize(pool, "usedBytes");
      if (this.#byUuid.has(pool.poolUuid)) throw invalid(pool, "poolUuid", `${pool.poolUuid} is there twice`);
      this.#byUuid.set(pool.poolUuid, index);
      this.usedBytes[index] = pool.usedBytes;
      this.capacityBytes[index] = pool.capacityBytes;
      this.nodeOf[index] = numberOf(nodes, pool.nodeName);
    }
    this.nodeCount = nodes.size;
  }

  /** The pool's number, undefined if the snapshot lacks it. */
  indexOf(poolUuid: string): number | undefined {
    return this.#byUuid.get(poolUuid);
  }

  pool(index: number): TopologyPool {
    const pool = this.pools[index];
    if (!pool) throw new RangeError(`pool ${index} of ${this.pools.length}`);
    return pool;
  }

  /** Used over capacity if `extraBytes` came on top; infinite for a pool without capacity. */
  fill(index: number, extraBytes = 0): number {
    const capacity = this.capacityBytes[index] ?? 0;
    return capacity > 0 ? ((this.usedBytes[index] ?? 0) + extraBytes) / capacity : Number.POSITIVE_INFINITY;
  }

  hasRoom(index: number, bytes: number): boolean {
    return (this.usedBytes[index] ?? 0) + bytes <= (this.capacityBytes[index] ?? 0);
  }

  /** Counts bytes that the plan puts there (or, negative, takes away; never below nothing). */
  addUsed(index: number, bytes: number): void {
    this.usedBytes[index] = Math.max(0, (this.usedBytes[index] ?? 0) + bytes);
  }
}

/** Numbers names in the order they come. */
export function numberOf(numbers: Map<string, number>, name: string): number {
  const known = numbers.get(name);
  if (known !== undefined) return known;
  numbers.set(name, numbers.size);
  return numbers.size - 1;
}

function checkSize(pool: TopologyPool, field: "capacityBytes" | "usedBytes"): void {
  const value = pool[field];
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw invalid(pool, field, `got ${value}; allowed: whole numbers from 0 to ${Number.MAX_SAFE_INTEGER}`);
}

function invalid(pool: TopologyPool, field: string, why: string): AppError {
  const message = `topology: pool ${pool.poolName} on ${pool.nodeName}: ${field}: ${why}`;
  return new AppError("InvalidArgument", message, {
    data: { field: `topology.pools.${field}`, poolUuid: pool.poolUuid },
  });
}
