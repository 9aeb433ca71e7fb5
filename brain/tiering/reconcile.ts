/**
 * One look at all: policies and volumes from the caches, pools and replicas from the control plane, heat from its source; then the
 * decisions, and the statuses that have changed. All policies at once, since two may claim one volume and all share the limits. The
 * number of questions asked of the heat source depends on the number of different windows and on nothing else.
 */

import { type StoragePolicy, storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { MayastorClient } from "../mayastor/client.ts";
import { requiredPoolLabels, tieredPools, tieredReplicas } from "../mayastor/mapping.ts";
import type { ResourceStore } from "../store/ports.ts";
import { decide } from "./decision.ts";
import { type Heat, unknown } from "./heat.ts";
import type { HeatSnapshot, HeatSource } from "./heat-source.ts";
import type { ClaimedVolume } from "./kube-volumes.ts";
import { type EndedMigration, migrationCounts } from "./migration-counts.ts";
import type { ActiveMove, Plan, TieredPool, TieredVolume, TieringPolicy } from "./model.ts";
import { policyInputOf } from "./policy-input.ts";
import { policyStatusOf } from "./policy-status.ts";

export interface TieringDeps {
  clock: Clock;
  store: Pick<ResourceStore, "get" | "updateStatus">;
  /** The policies as last seen. */
  policies: () => Iterable<StoragePolicy>;
  /** The volumes that claims use, as last seen. */
  volumes: () => Iterable<ClaimedVolume>;
  /** Migrations under way. */
  active: () => readonly ActiveMove[];
  /** Those of policies that have ended. */
  ended: () => Iterable<EndedMigration>;
  mayastor: Pick<MayastorClient, "volumes" | "pools" | "nodes">;
  heat: HeatSource;
}

export interface TieringSettings {
  /** Migrations at once, of all policies. */
  maxConcurrent: number;
  dryRun: boolean;
  preservationMode: boolean;
}

const statusAttemptsMax = 10;

/** What one look found. */
export interface TieringReport {
  /** Undefined when the control plane did not answer. */
  plan: Plan | undefined;
  /** When, wall-clock. */
  takenAtMs: number;
  tookMs: number;
  heatRequests: number;
  /** Of the oldest heat used; undefined if none was. */
  heatAgeMs: number | undefined;
  /** What did not answer, or was not understood, in words. */
  warnings: string[];
  statusWrites: number;
}

export class Tiering {
  readonly #deps: TieringDeps;
  readonly #settings: TieringSettings;
  #latest: TieringReport | undefined;

  constructor(deps: TieringDeps, settings: TieringSettings) {
    this.#deps = deps;
    this.#settings = settings;
  }

  /** What the latest look found; undefined before the first. */
  get latest(): TieringReport | undefined {
    return this.#latest;
  }

  /** Looks, decides and writes the statuses that changed. Throws afterwards if the control plane didn't answer or a status couldn't be written. */
  async reconcile(signal?: AbortSignal): Promise<TieringReport> {
    const { clock } = this.#deps;
    const startMs = clock.monotonicMs();
    const resources = [...this.#deps.policies()].filter((policy) => policy.metadata.deletionTimestamp === undefined);
    const inputs = resources.map((resource) => ({
      resource,
      ...policyInputOf(resource, this.#settings.preservationMode),
    }));
    // Two services that know nothing of each other: neither waits for the other.
    const [heats, world] = await Promise.all([
      this.#heats(
        inputs.map(({ policy }) => policy),
        signal,
      ),
      this.#world(signal),
    ]);
    const plan =
      "error" in world
        ? undefined
        : this.#decide(
            inputs.map(({ policy }) => policy),
            world,
            heats,
          );
    const plans = new Map(plan?.policies.map((found) => [found.policy.name, found]));
    const countsOf = migrationCounts(this.#deps.ended());
    const outlooks = inputs.map(({ resource, policy, findings }) => ({
      resource,
      outlook: {
        findings,
        plan: plans.get(policy.name),
        heatError: heats.errors.get(policy.windowMs)?.message,
        controlPlaneError: "error" in world ? world.error.message : undefined,
        dryRun: this.#settings.dryRun,
        migrations: countsOf(resource.metadata),
      },
    }));
    const written = await this.#writeStatuses(outlooks);
    const errors = [...heats.errors.values(), ...("error" in world ? [world.error] : []), ...written.errors];
    this.#latest = {
      plan: plan ?? this.#latest?.plan,
      takenAtMs: plan === undefined ? (this.#latest?.takenAtMs ?? clock.wallMs()) : clock.wallMs(),
      tookMs: clock.monotonicMs() - startMs,
      heatRequests: heats.requests,
      heatAgeMs: heats.ageMs,
      warnings: [...errors.map((error) => error.message), ...("error" in world ? [] : world.unreadable)],
      statusWrites: written.count,
    };
    if ("error" in world) throw world.error;
    const [failed] = written.errors;
    if (failed !== undefined) throw failed;
    return this.#latest;
  }

  #decide(policies: TieringPolicy[], world: World, heats: Heats): Plan {
    const { clock, active } = this.#deps;
    const { maxConcurrent, dryRun } = this.#settings;
    const heat = (policy: TieringPolicy, volume: TieredVolume): Heat => {
      const snapshot = heats.snapshots.get(policy.windowMs);
      // The exporter's pv_name is made of the volume's uuid; the PersistentVolume may have been named by hand.
      if (snapshot !== undefined) return snapshot.of([`pvc-${volume.uuid}`, volume.name]);
      return unknown("SourceUnavailable", heats.errors.get(policy.windowMs)?.message ?? "it was not asked for");
    };
    return decide({ policies, ...world, heat, active: active(), maxConcurrent, dryRun, nowMs: clock.wallMs() });
  }

  async #heats(policies: readonly TieringPolicy[], signal: AbortSignal | undefined): Promise<Heats> {
    const { heat, clock } = this.#deps;
    const heats: Heats = { snapshots: new Map(), errors: new Map(), requests: 0, ageMs: undefined };
    const wanted = policies.filter((policy) => policy.enabled && policy.problems.length === 0);
    for (const windowMs of new Set(wanted.map((policy) => policy.windowMs))) {
      try {
        const snapshot = await heat.snapshot(windowMs, signal);
        heats.snapshots.set(windowMs, snapshot);
        heats.requests += snapshot.requests;
        heats.ageMs = Math.max(heats.ageMs ?? 0, clock.monotonicMs() - snapshot.takenAtMs);
      } catch (error) {
        signal?.throwIfAborted();
        heats.errors.set(windowMs, asAppError(error));
      }
    }
    return heats;
  }

  async #world(signal: AbortSignal | undefined): Promise<World | { error: AppError }> {
    const { mayastor, volumes: claimed } = this.#deps;
    try {
      const [volumes, pools, nodes] = await Promise.all([
        mayastor.volumes(signal),
        mayastor.pools(signal),
        mayastor.nodes(signal),
      ]);
      const byUuid = new Map(volumes.items.map((volume) => [volume.spec.uuid, volume]));
      const tiered = [...claimed()].map(({ lastMigration, ...volume }): TieredVolume => {
        const found = byUuid.get(volume.uuid);
        return {
          ...volume,
          sizeBytes: found?.spec.size ?? volume.sizeBytes,
          replicas: found === undefined ? undefined : tieredReplicas(found),
          requiredPoolLabels: found === undefined ? {} : requiredPoolLabels(found),
          ...(lastMigration === undefined ? {} : { lastMigration }),
        };
      });
      const unreadable = [...volumes.unreadable, ...pools.unreadable, ...nodes.unreadable];
      return { volumes: tiered, pools: tieredPools(pools.items, nodes.items), unreadable };
    } catch (error) {
      signal?.throwIfAborted();
      return { error: asAppError(error) };
    }
  }

  async #writeStatuses(
    outlooks: readonly { resource: StoragePolicy; outlook: Parameters<typeof policyStatusOf>[1] }[],
  ) {
    const now = isoNow(this.#deps.clock);
    const errors: AppError[] = [];
    let count = 0;
    for (const { resource, outlook } of outlooks) {
      try {
        if (await this.#writeStatus(resource, outlook, now)) count += 1;
      } catch (error) {
        // Deleted meanwhile: nothing is left to be told. Anything else must not keep other policies from theirs.
        if (!isAppError(error, "NotFound")) errors.push(asAppError(error));
      }
    }
    return { count, errors };
  }

  /**
   * Writes a status if it has changed; says whether it did. Somebody who annotates the policy all the time must not keep it from its status:
   * after a conflict the policy is read anew, and gets it unless its spec is another.
   */
  async #writeStatus(
    resource: StoragePolicy,
    outlook: Parameters<typeof policyStatusOf>[1],
    now: string,
  ): Promise<boolean> {
    const { store } = this.#deps;
    let current = resource;
    for (let attempt = 1; ; attempt++) {
      const status = policyStatusOf(current, outlook, now);
      if (status === undefined) return false;
      try {
        await store.updateStatus(storagePolicyKind, { ...current, status });
        return true;
      } catch (error) {
        if (!isAppError(error, "Conflict") || attempt === statusAttemptsMax) throw error;
        const fresh = await store.get(storagePolicyKind, resource.metadata.name);
        if (fresh === undefined) return false;
        if (fresh.metadata.uid !== resource.metadata.uid || fresh.metadata.generation !== resource.metadata.generation)
          throw error;
        current = fresh;
      }
    }
  }
}

interface World {
  volumes: TieredVolume[];
  pools: TieredPool[];
  unreadable: string[];
}

interface Heats {
  snapshots: Map<number, HeatSnapshot>;
  errors: Map<number, AppError>;
  requests: number;
  ageMs: number | undefined;
}

function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError("Internal", error instanceof Error ? error.message : String(error), { cause: error });
}
