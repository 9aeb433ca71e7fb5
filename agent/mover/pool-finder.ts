/** Which node has a pool that only an exception names: maps say it of columns alone. Learned by asking the nodes, when it is needed. */
import type { NodeAddress, RunMap } from "@couchestor/common/api/maps.ts";
import { poolsAnswerSchema } from "@couchestor/common/api/nodes.ts";
import { createClient } from "@couchestor/common/http/client.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { TlsMaterial } from "@couchestor/common/tls/material.ts";
import type { OpenPools } from "../ports.ts";

export interface PoolFinderOptions {
  nodeName: string;
  pools: Pick<OpenPools, "has">;
  clock: Clock;
  tls(): TlsMaterial | undefined;
}

const knownMax = 16_384;
const askTimeoutMs = 2_000;
/** After asking in vain, not again for so long. */
const askEveryMs = 10_000;
const policy = { timeoutMs: askTimeoutMs, attemptsMax: 1, pauseMs: 0, pauseMsMax: 0, failuresToOpen: 1_000, openMs: 1 };

export class PoolFinder {
  readonly #options: PoolFinderOptions;
  readonly #known = new Map<string, string>();
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(options: PoolFinderOptions) {
    this.#options = options;
  }

  /** The node that has the pool; undefined if that has not been learned. */
  nodeOf = (poolUuid: string): string | undefined => {
    return this.#options.pools.has(poolUuid) ? this.#options.nodeName : this.#known.get(poolUuid);
  };

  /** Learns where the pools of the run's exceptions are, if any is unknown. Never throws: what stays unknown counts as out of reach. */
  async learn(run: RunMap, nodes: readonly NodeAddress[]): Promise<void> {
    if (run.exceptions.length === 0) return;
    const columns = new Set(run.shardLocations.map(({ poolUuid }) => poolUuid));
    const unknown = run.exceptions.some(
      ({ poolUuid }) => !columns.has(poolUuid) && this.nodeOf(poolUuid) === undefined,
    );
    const nowMs = this.#options.clock.monotonicMs();
    if (!unknown || nowMs - this.#askedMs < askEveryMs) return;
    this.#askedMs = nowMs;
    await Promise.all(nodes.filter(({ online }) => online).map((node) => this.#ask(node)));
  }

  async #ask({ nodeName, url }: NodeAddress): Promise<void> {
    const client = createClient({ peer: `agent ${nodeName}`, baseUrl: url, tls: this.#options.tls(), policy });
    const answer = await client.json("GET", "/v1/pools", poolsAnswerSchema).catch(() => ({ pools: [] }));
    for (const { poolUuid } of answer.pools) this.#known.set(poolUuid, nodeName);
    if (this.#known.size > knownMax) this.#known.clear();
  }
}
