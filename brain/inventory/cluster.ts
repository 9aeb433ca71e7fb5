/**
 * Which cluster this is. The identity is kept in the store, and every pool carries it. A brain whose database is empty but whose agents carry
 * an identity stays unclaimed until recovery: to invent another one would make every chunk on those disks a stranger's.
 */
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { clusterKind } from "@couchestor/common/crd/cluster.ts";
import { ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { BrainContext } from "../ports.ts";

const objectName = "cluster";
const swapAttemptsMax = 16;

/** `fresh`: nothing known yet. `unclaimed`: pools carry an identity that the database does not know. */
export type ClusterState = "claimed" | "fresh" | "unclaimed";

export class ClusterIdentity {
  readonly #context: Pick<BrainContext, "store" | "clock" | "prng" | "log">;
  /** How long after the first heartbeat a new identity may be made: every agent that runs has spoken by then. */
  readonly #settleMs: number;
  #uuid: string | undefined;
  #repairPaused = false;
  #seen = new Set<string>();
  #volumesWithoutCluster = false;
  #firstHeardMs: number | undefined;
  #creating: Promise<void> | undefined;

  constructor(context: Pick<BrainContext, "store" | "clock" | "prng" | "log">, options: { settleMs: number }) {
    this.#context = context;
    this.#settleMs = options.settleMs;
  }

  /** Reads the identity from the store. */
  async load(): Promise<void> {
    const object = await this.#context.store.get(clusterKind, objectName);
    this.#uuid = object?.spec.clusterUuid;
    this.#repairPaused = object?.spec.repairPaused ?? false;
    if (!object) this.#volumesWithoutCluster = (await this.#context.store.list(ecVolumeKind)).items.length > 0;
  }

  get uuid(): string | undefined {
    return this.#uuid;
  }

  get state(): ClusterState {
    if (this.#uuid) return "claimed";
    return this.#seen.size > 0 || this.#volumesWithoutCluster ? "unclaimed" : "fresh";
  }

  get repairPaused(): boolean {
    return this.#repairPaused;
  }

  /** Durable on return: it holds for this brain and the next ones. `FailedPrecondition` while there is no cluster. */
  async setRepairPaused(repairPaused: boolean): Promise<void> {
    const { store } = this.#context;
    for (let attempt = 0; attempt < swapAttemptsMax; attempt++) {
      const object = await store.get(clusterKind, objectName);
      if (!object) {
        this.require();
        throw new AppError("Unavailable", "the store lost the cluster's object; restart the brain");
      }
      try {
        const same = (object.spec.repairPaused ?? false) === repairPaused;
        if (!same) await store.update(clusterKind, { ...object, spec: { ...object.spec, repairPaused } });
        this.#repairPaused = repairPaused;
        return;
      } catch (error) {
        if (!isAppError(error, "Conflict")) throw error;
      }
    }
    throw new AppError("Unavailable", "the cluster's object changed while it was being written; try again");
  }

  /** Identities that pools carry while this brain has none. */
  seenUuids(): string[] {
    return [...this.#seen];
  }

  /** The identity, or `FailedPrecondition` saying what to do about its absence. */
  require(): string {
    if (this.#uuid) return this.#uuid;
    if (this.state === "unclaimed") throw new AppError("FailedPrecondition", unclaimedText(this.seenUuids()));
    throw new AppError(
      "FailedPrecondition",
      "no cluster yet: no agent with a fresh pool has reported for long enough. Start agents, wait two heartbeats, and try again",
      { retryable: true },
    );
  }

  /** Takes note of a heartbeat's pools. Throws `WrongCluster` when all pools that carry an identity carry another than ours. */
  check(nodeName: string, pools: readonly PoolInfo[]): void {
    const carried = pools.map((p) => p.clusterUuid).filter((uuid) => uuid !== zeroUuid);
    this.#firstHeardMs ??= this.#context.clock.monotonicMs();
    if (!this.#uuid) {
      for (const uuid of carried) if (this.#seen.size < 16) this.#seen.add(uuid);
      return;
    }
    if (carried.length > 0 && !carried.includes(this.#uuid)) {
      throw new AppError(
        "WrongCluster",
        `node ${nodeName}: its pools belong to cluster ${carried[0]}, this brain keeps cluster ${this.#uuid}. Point the agent to its own brain, or use empty pools`,
        { data: { nodeName, got: carried[0], allowed: this.#uuid } },
      );
    }
  }

  /** Makes an identity once only fresh pools have shown up for `settleMs`. */
  async settle(): Promise<void> {
    if (this.state !== "fresh" || this.#firstHeardMs === undefined) return;
    if (this.#context.clock.monotonicMs() - this.#firstHeardMs < this.#settleMs) return;
    this.#creating ??= this.adopt(this.#context.prng.uuid()).finally(() => {
      this.#creating = undefined;
    });
    await this.#creating;
  }

  /** Writes `clusterUuid` as the identity; if the store has another by now, that one holds and `Conflict` is thrown. */
  async adopt(clusterUuid: string): Promise<void> {
    try {
      await this.#context.store.create(clusterKind, {
        apiVersion,
        kind: clusterKind.kind,
        metadata: { name: objectName },
        spec: { clusterUuid },
      });
      this.#uuid = clusterUuid;
      this.#context.log.info({ clusterUuid }, "this brain keeps the cluster now");
    } catch (error) {
      if (!isAppError(error, "AlreadyExists")) throw error;
      await this.load();
      if (this.#uuid !== clusterUuid) {
        throw new AppError("Conflict", `the store already keeps cluster ${this.#uuid}`, { cause: error });
      }
    }
  }
}

/** What a person is told while the brain is unclaimed. */
export function unclaimedText(seen: readonly string[]): string {
  return (
    `unclaimed: this brain's database knows no cluster, but pools carry ${seen.length > 0 ? seen.join(", ") : "volumes of one"}. ` +
    "If the database was lost, run `couchestor volume recover`; if this is the wrong brain, point the agents to theirs"
  );
}
