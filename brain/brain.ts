/** The brain's parts joined around a store and its agents; `wiring.ts` gives it the real ones, tests their own. */
import type { ActId } from "@couchestor/common/api/acts.ts";
import type { HeartbeatAnswer } from "@couchestor/common/api/nodes.ts";
import { ActRegistry } from "./acts/act-registry.ts";
import { ChunkOrders } from "./acts/chunk-orders.ts";
import { EvacuationController, type EvacuationOptions } from "./devices/evacuation-controller.ts";
import { Sweeper, type SweepOptions } from "./garbage/sweeper.ts";
import { ClusterIdentity } from "./inventory/cluster.ts";
import { Inventory } from "./inventory/inventory.ts";
import { Standings } from "./inventory/standing.ts";
import type { BrainContext } from "./ports.ts";
import { Recovery } from "./recover/recovery.ts";
import { RepairController, type RepairOptions } from "./repair/repair-controller.ts";
import { ScrubController, type ScrubOptions } from "./scrub/scrub-controller.ts";
import { Catalogue } from "./volumes/catalogue.ts";
import { alreadyCommitted } from "./volumes/commit-rules.ts";
import { VolumeDeleter } from "./volumes/delete.ts";
import { EditedRuns } from "./volumes/edited-runs.ts";
import { Ownership } from "./volumes/ownership.ts";
import type { Services } from "./volumes/services.ts";
import { Tombstones } from "./volumes/tombstone.ts";
import { UnfinishedVolumes } from "./volumes/unfinished.ts";

export interface BrainOptions {
  heartbeatEveryMs: number;
  offlineAfterMs: number;
  repairAfterMs: number;
  repair: RepairOptions;
  evacuation: EvacuationOptions;
  scrub: ScrubOptions;
  sweep: SweepOptions;
}

/** How often everything that waits for time is looked at. */
const tickMs = 200;

export class Brain {
  readonly services: Services;
  readonly tombstones: Tombstones;
  readonly deleter: VolumeDeleter;
  readonly repair: RepairController;
  readonly evacuation: EvacuationController;
  readonly scrubs: ScrubController;
  readonly sweeper: Sweeper;
  readonly recovery: Recovery;
  readonly unfinished: UnfinishedVolumes;
  readonly edits: EditedRuns;
  readonly #context: BrainContext;
  #cancelTick: (() => void) | undefined;
  #started = false;
  #stopping = false;

  constructor(context: BrainContext, options: BrainOptions) {
    this.#context = context;
    const cluster = new ClusterIdentity(context, { settleMs: options.heartbeatEveryMs });
    const inventory = new Inventory(context, cluster, options);
    const catalogue = new Catalogue(context);
    const orders = new ChunkOrders(context, inventory);
    const committedBefore = (act: ActId, runName?: string) => isCommitted(catalogue, act, runName);
    this.services = {
      context,
      cluster,
      inventory,
      standings: new Standings(inventory, context.clock, options),
      catalogue,
      ownership: new Ownership(context, catalogue),
      orders,
      acts: new ActRegistry(context, { inventory, orders, committedBefore }),
    };
    this.tombstones = new Tombstones(context.store, (tombstone, error) =>
      context.log.error({ tombstone }, error.message),
    );
    this.deleter = new VolumeDeleter(this.services, this.tombstones);
    this.repair = new RepairController(this.services, options.repair);
    this.evacuation = new EvacuationController(this.services, {
      ...options.evacuation,
      ...options.repair,
      repairsOpen: () => this.repair.openCount,
    });
    inventory.describeDevices((node) => this.evacuation.condition(node));
    this.scrubs = new ScrubController(this.services, options.scrub);
    this.sweeper = new Sweeper(this.services, this.tombstones, options.sweep);
    this.recovery = new Recovery(this.services, this.tombstones);
    this.unfinished = new UnfinishedVolumes(this.services);
    this.edits = new EditedRuns(this.services);
  }

  /** Reads the store, and takes up what an earlier process left half done. */
  async start(): Promise<void> {
    await this.services.cluster.load();
    await Promise.all([this.services.inventory.load(), this.services.catalogue.load(), this.tombstones.load()]);
    this.services.catalogue.follow();
    this.unfinished.start();
    this.#started = true;
    this.#schedule();
  }

  /** Why the brain can't serve, and what a person should know though it can. */
  readiness(): { ready: boolean; checks: Record<string, string> } {
    const { cluster, ownership } = this.services;
    const fenced = ownership.fencedCount;
    return {
      ready: this.#started && !this.#stopping && fenced === 0,
      checks: {
        store: this.#started ? "ok" : "not read yet",
        cluster:
          cluster.state === "unclaimed"
            ? `unclaimed (${cluster.seenUuids().join(", ")}): run \`couchestor volume recover\``
            : cluster.state,
        ownership: fenced === 0 ? "ok" : `${fenced} volumes were taken by another brain`,
        shutdown: this.#stopping ? "stopping" : "no",
      },
    };
  }

  heartbeat(nodeName: string, raw: Record<string, unknown>): HeartbeatAnswer {
    const answer = this.services.inventory.heartbeat(nodeName, raw);
    const beat = this.services.inventory.node(nodeName)?.heartbeat;
    if (beat) this.services.acts.progress(nodeName, beat.instanceUuid, beat.acts);
    return answer;
  }

  /** One look at everything that waits for time. */
  tick(): void {
    const { inventory, acts, orders, cluster } = this.services;
    inventory.tick();
    acts.tick();
    orders.tick();
    this.unfinished.tick();
    this.edits.tick();
    this.deleter.tick();
    this.repair.tick();
    this.evacuation.tick();
    this.scrubs.tick();
    this.sweeper.tick();
    void cluster
      .settle()
      .catch((error) =>
        this.#context.log.warn({ error: String(error) }, "cluster identity not written; will try again"),
      );
  }

  /** Stops granting and starting; waits for what is being committed or written. Acts under way go on and report to the next brain. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#cancelTick?.();
    const { acts, orders, inventory } = this.services;
    acts.stop();
    this.repair.stop();
    this.evacuation.stop();
    for (const record of acts.active())
      if (!record.committing)
        record.end({ answer: { result: "dropped", reason: "the brain stopped" }, done: undefined });
    await Promise.allSettled([...acts.active()].map((record) => record.committing));
    await Promise.allSettled([
      this.scrubs.stop(),
      this.repair.settle(),
      this.evacuation.settle(),
      this.sweeper.stop(),
      this.deleter.stop(),
      this.unfinished.stop(),
      this.edits.settle(),
      this.services.catalogue.stop(),
      orders.settle(),
    ]);
    await inventory.flush();
  }

  #schedule(): void {
    if (this.#stopping) return;
    this.#cancelTick = this.#context.clock.after(tickMs, () => {
      try {
        this.tick();
      } catch (error) {
        this.#context.log.error({ error: String(error) }, "a tick failed");
      }
      this.#schedule();
    });
  }
}

/**
 * Whether the store names the act as committed. Which run an act of an earlier process wrote to is looked up in memory, and the answer read from the store.
 * What another brain committed since this one started is not in memory; its mover hears that the act does not count, and asks again for what it needs.
 */
async function isCommitted(catalogue: Catalogue, act: ActId, runName?: string): Promise<boolean> {
  const names = runName === undefined ? catalogue.runs.naming(act) : [runName];
  const runs = await Promise.all(names.map((name) => catalogue.freshRun(name)));
  return runs.some((run) => run !== undefined && alreadyCommitted(run.spec, act));
}
