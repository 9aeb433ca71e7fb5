/**
 * What is held against a history besides `ZeroLoss`:
 * - calls: nothing but reads, replica_count, cordons and labels; each change while its intent is in a journal;
 * - steering: all that was set by us is taken back, and what others set stays;
 * - ends: each migration ends, and says the truth about how;
 * - leftovers: a volume has as many replicas afterwards as its migration says.
 */
import type { MigrationSpec } from "@couchestor/common/crd/migration.ts";
import type { SeenCall } from "../../testing/mayastor/control-plane.ts";
import type { Transition, TruthVolume } from "../../testing/mayastor/truth.ts";
import type { World } from "./world.ts";

interface Watched {
  spec: MigrationSpec;
  needed: number;
  /** A person changed the number of replicas, or deleted the volume: what is left is theirs. */
  taken: boolean;
  countAtStart: number;
}

/** A fault so short before an end may not have been seen by then: the nexus, the cache, and the reads each take their time. */
const unseenMs = 90_000;

export class Watch {
  readonly violations: string[] = [];
  readonly #world: World;
  readonly #watched = new Map<string, Watched>();
  /** When copies of a volume last got fewer, or its replicas were exchanged, not by us. */
  readonly #lastFaultMs = new Map<string, number>();
  /** Pool or `node label` to when a call of ours that sets or takes it back last arrived. */
  readonly touchedMs = new Map<string, number>();
  readonly #ourNodeCordons = new Set<string>();
  readonly foreignPools = new Set<string>();
  readonly foreignNodes = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    world.cluster.onTransition.push((transition) => this.#saw(transition));
  }

  begun(name: string, spec: MigrationSpec, needed: number): void {
    const countAtStart = this.#world.cluster.volumes.get(spec.volumeUuid)?.numReplicas ?? spec.originalReplicaCount;
    this.#watched.set(name, { spec, needed, taken: false, countAtStart });
  }

  /** A person changed how many replicas a volume has, or the like. */
  taken(volumeUuid: string): void {
    for (const watched of this.#watched.values()) if (watched.spec.volumeUuid === volumeUuid) watched.taken = true;
  }

  /** Something happened to the volume that may not have been seen yet. */
  faulted(volumeUuid: string): void {
    this.#lastFaultMs.set(volumeUuid, this.#world.cluster.nowMs);
  }

  #saw({ by, volume, copiesAfter, copiesBefore }: Transition): void {
    if (by !== "us" && copiesAfter < copiesBefore) this.faulted(volume);
    if (by === "admin") this.faulted(volume);
  }

  /** A call of ours has arrived at the server. */
  called({ isRead, method, path, by }: SeenCall): void {
    if (isRead || by !== "us") return;
    const allowed =
      /^\/v0\/(volumes\/[^/]+\/replica_count\/\d+|nodes\/[^/]+\/cordon\/[^/]+|pools\/[^/]+\/(cordon|label\/[^/]+))$/;
    if (!allowed.test(path)) this.#violated(`a call that is never to be made: ${method} ${path}`);
    const [, , what = "", id = "", , label = ""] = path.split("/").map(decodeURIComponent);
    this.touchedMs.set(what === "nodes" ? `${id} ${label}` : id, this.#world.cluster.nowMs);
    if (what === "nodes" && method === "PUT" && !this.foreignNodes.has(`${id} ${label}`))
      this.#ourNodeCordons.add(`${id} ${label}`);
    if (!this.#isJournaled(what, id)) this.#violated(`no journal says so: ${method} ${path}`);
  }

  #isJournaled(what: string, id: string): boolean {
    return this.#world.names.some((name) => {
      const { spec, status } = this.#world.migration(name) ?? {};
      if (what === "volumes")
        return spec?.volumeUuid === id && (status?.steps.some((step) => step.state === "Intended") ?? false);
      return status?.heldSteering?.some((held) => held.target === id) ?? false;
    });
  }

  /** A migration has ended just now. */
  ended(name: string): void {
    const { cluster } = this.#world;
    const watched = this.#watched.get(name);
    const outcome = this.#world.migration(name)?.status?.outcome;
    if (watched === undefined || outcome === undefined) return;
    this.#world.plane.catchUp();
    const volume = cluster.volumes.get(watched.spec.volumeUuid);
    if (outcome.result !== "Succeeded" || volume === undefined || watched.taken) return;
    const sinceFaultMs = cluster.nowMs - (this.#lastFaultMs.get(volume.uuid) ?? Number.NEGATIVE_INFINITY);
    if (sinceFaultMs < unseenMs) return;
    for (const problem of this.#untruths(watched, volume)) this.#violated(`${name} says Succeeded, but ${problem}`);
  }

  #untruths({ spec, needed }: Watched, volume: TruthVolume): string[] {
    const { cluster } = this.#world;
    const owned = [...volume.replicas.values()].filter((replica) => replica.owned && !replica.condemned);
    const problems: string[] = [];
    const copies = cluster.copies(volume.uuid);
    // Erasure coding that fell ill after the old replicas had gone is a fault that no migration can mend; `ZeroLoss` sees one that was ill before.
    const isIll = owned.some(({ pool }) => cluster.pool(pool).erasureCoded?.healthy === false);
    if (copies < needed && !isIll) problems.push(`${copies} copies are left of ${needed}`);
    const wanted = this.#countAfter(spec);
    if (volume.numReplicas !== wanted) problems.push(`it has ${volume.numReplicas} replicas instead of ${wanted}`);
    if (!spec.preservationMode) {
      const foreign = owned.filter((replica) => cluster.pool(replica.pool).labels["tier"] !== spec.toTier);
      if (foreign.length > 0) problems.push(`there are replicas on ${foreign.map(({ pool }) => pool).join(", ")}`);
    }
    return problems;
  }

  #countAfter(spec: MigrationSpec): number {
    return spec.preservationMode ? spec.originalReplicaCount + spec.replicas.length : spec.finalReplicaCount;
  }

  /** All is quiet: what is left? */
  judge(): void {
    for (const [name, watched] of this.#watched) this.#judge(name, watched);
    const { cluster } = this.#world;
    for (const node of cluster.nodes.values()) {
      for (const label of node.cordons) {
        const key = `${node.id} ${label}`;
        if (this.#ourNodeCordons.has(key)) this.#violated(`node ${node.id} still has our cordon ${label}`);
      }
    }
    for (const key of this.foreignNodes) {
      const [node = "", label = ""] = key.split(" ");
      if (!cluster.node(node).cordons.has(label)) this.#violated(`a cordon of others is gone: ${key}`);
    }
    for (const pool of cluster.pools.values()) {
      const isForeign = this.foreignPools.has(pool.id);
      if (pool.cordon.replicas !== isForeign)
        this.#violated(`pool ${pool.id} ${isForeign ? "has lost a cordon of others" : "still has our cordon"}`);
      const tier = pool.id.split("-")[0];
      if (tier !== "plain" && pool.labels["tier"] !== tier) this.#violated(`pool ${pool.id} has lost its label`);
    }
  }

  #judge(name: string, watched: Watched): void {
    const { cluster } = this.#world;
    const migration = this.#world.migration(name);
    const { outcome, phase, message } = migration?.status ?? {};
    if (migration !== undefined && outcome === undefined) {
      const errors = this.#world.brains.at(-1)?.errors.at(-1) ?? "";
      this.#violated(`${name} has not ended: ${phase}: ${message} ${errors}`);
      return;
    }
    const volume = cluster.volumes.get(watched.spec.volumeUuid);
    if (volume === undefined || watched.taken) return;
    const { originalReplicaCount: original } = watched.spec;
    const result = outcome?.result ?? "deleted";
    const allowed = new Set([this.#countAfter(watched.spec)]);
    // Preserved replicas and half a promotion may stay: nothing is lost by one copy more that is told of.
    if (result !== "Succeeded") for (let n = original; n <= watched.countAtStart; n++) allowed.add(n);
    if (result !== "Succeeded" && watched.spec.preservationMode)
      for (let n = 1; n <= watched.spec.replicas.length; n++) allowed.add(original + n);
    const isTold = outcome?.message.includes(`left with ${volume.numReplicas} replica`) ?? false;
    if (!allowed.has(volume.numReplicas) && !isTold) {
      const reason = `${result} ${outcome?.reason ?? ""}: ${outcome?.message ?? ""}`;
      this.#violated(`${name} has left ${volume.numReplicas} replicas, there were ${watched.countAtStart} (${reason})`);
    }
  }

  #violated(text: string): void {
    if (this.violations.length < 50)
      this.violations.push(`at ${new Date(this.#world.cluster.nowMs).toISOString()}: ${text}`);
  }
}
