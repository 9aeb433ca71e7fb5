/**
 * One look at all: policies and volumes from the caches, pools and replicas from the control plane, heat from its source; then the
 * decisions, and the statuses that have changed. All policies at once, since two may claim one volume and all share the limits. The
 * number of questions asked of the heat source depends on the number of different windows and on nothing else.
 */

import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { MayastorObjectsSeen } from "../kube/mayastor-objects.ts";
import type { MayastorClient } from "../mayastor/client.ts";
import type { VolumeAllowances } from "../mayastor/mapping.ts";
import type { ResourceStore } from "../store/ports.ts";
import { decide } from "./decision.ts";
import { type Heat, unknown } from "./heat.ts";
import type { HeatSnapshot, HeatSource } from "./heat-source.ts";
import { lastMoves } from "./history.ts";
import { activeMove, endedMigration, isOfPolicy, type KnownMigration } from "./known-migrations.ts";
import type { ClaimedVolume } from "./kube-volumes.ts";
import type { Launcher } from "./launcher.ts";
import { migrationCounts } from "./migration-counts.ts";
import type { ErasureCodedTier, Plan, TieredVolume, TieringPolicy } from "./model.ts";
import { type PolicyInput, policyInputOf } from "./policy-input.ts";
import type { Outlook } from "./policy-status.ts";
import { writePolicyStatus } from "./status-writer.ts";
import { dropReplicaCounts, type NotesDeps, noteMoves } from "./volume-notes.ts";
import { migrationsByVolume, readWorld, type World } from "./world.ts";

export interface TieringDeps {
  clock: Clock;
  store: Pick<ResourceStore, "get" | "updateStatus">;
  /** The policies as last seen. */
  policies: () => Iterable<StoragePolicy>;
  /** The volumes that claims use, as last seen. */
  volumes: () => Iterable<ClaimedVolume>;
  /** All Migrations that there are, as last seen. */
  migrations: () => Iterable<KnownMigration>;
  /** What is known of ECVolumes, by name; without it nothing goes to pools that stand on them. */
  ecVolumes?: () => ErasureCodedTier["volumes"];
  /** Removes a Migration that has ended; without it none is removed. Throws `NotFound` if there is none. */
  remove?: (migrationName: string) => Promise<void>;
  /** Mayastor's own Kubernetes objects, for messages. */
  objects?: (signal?: AbortSignal) => Promise<MayastorObjectsSeen>;
  /** Makes Migrations of decisions; without it they are only shown. */
  launcher?: Launcher;
  /** Writes on PersistentVolumes; without it nothing is. */
  notes?: NotesDeps;
  mayastor: Pick<MayastorClient, "volumes" | "pools" | "nodes">;
  heat: HeatSource;
}

export interface TieringSettings {
  /** Migrations at once, of all policies. */
  maxConcurrent: number;
  dryRun: boolean;
  preservationMode: boolean;
  /** Bytes a second that migrations of all policies may begin to copy; undefined: no limit. */
  bytesPerSecond?: number | undefined;
  /** Lifts refusals; none are lifted without it. */
  allow?: VolumeAllowances;
}

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
  /** Migrations made. */
  launched: number;
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

  /**
   * Looks, decides, has it carried out, and writes the statuses that changed. Throws afterwards if the control plane didn't answer or something
   * couldn't be written.
   */
  async reconcile(signal?: AbortSignal): Promise<TieringReport> {
    const { clock, launcher, notes } = this.#deps;
    const startMs = clock.monotonicMs();
    const seen = [...this.#deps.migrations()];
    const migrations = launcher?.withMade(seen) ?? seen;
    const inputs = this.#inputs(migrations);
    // Two services that know nothing of each other: neither waits for the other.
    const [heats, world] = await Promise.all([
      this.#heats(
        inputs.map(({ policy }) => policy),
        signal,
      ),
      this.#world(migrations, signal),
    ]);
    const plan =
      "error" in world
        ? undefined
        : this.#decide(
            inputs.map(({ policy }) => policy),
            world,
            { heats, migrations },
          );
    // Before anything is launched, which may write the number anew.
    const dropErrors =
      notes === undefined || "error" in world
        ? []
        : await dropReplicaCounts(notes, world, migrationsByVolume(migrations));
    const launched = await this.#launch(plan, inputs, migrations);
    const moveErrors = notes === undefined ? [] : await noteMoves(notes, lastMoves(seen), this.#deps.volumes());
    const noteErrors = [...dropErrors, ...moveErrors];
    const removeErrors = await this.#remove(inputs, seen);
    const plans = new Map(plan?.policies.map((found) => [found.policy.name, found]));
    const countsOf = migrationCounts(seen.flatMap((one) => endedMigration(one) ?? []));
    const outlooks = inputs.map(({ resource, policy, findings }) => ({
      resource,
      outlook: {
        findings,
        plan: plans.get(policy.name),
        hold: policy.hold,
        heatError: heats.errors.get(policy.windowMs)?.message,
        controlPlaneError: "error" in world ? world.error.message : undefined,
        dryRun: this.#settings.dryRun,
        migrations: countsOf(resource.metadata),
        ended: seen.filter((one) => one.end !== undefined && isOfPolicy(one, resource.metadata)),
      },
    }));
    const written = await this.#writeStatuses(outlooks);
    const writeErrors = [...launched.errors, ...noteErrors.map(asAppError), ...removeErrors, ...written.errors];
    const errors = [...heats.errors.values(), ...("error" in world ? [world.error] : []), ...writeErrors];
    this.#latest = {
      plan: plan ?? this.#latest?.plan,
      takenAtMs: plan === undefined ? (this.#latest?.takenAtMs ?? clock.wallMs()) : clock.wallMs(),
      tookMs: clock.monotonicMs() - startMs,
      heatRequests: heats.requests,
      heatAgeMs: heats.ageMs,
      warnings: [...errors.map((error) => error.message), ...("error" in world ? [] : world.unreadable)],
      statusWrites: written.count,
      launched: launched.count,
    };
    if ("error" in world) throw world.error;
    const [failed] = writeErrors;
    if (failed !== undefined) throw failed;
    return this.#latest;
  }

  /** Removes the old ones that a policy's status says are counted there. */
  async #remove(inputs: readonly Input[], seen: readonly KnownMigration[]): Promise<AppError[]> {
    const { remove } = this.#deps;
    const errors: AppError[] = [];
    if (remove === undefined) return errors;
    const ended = new Set(seen.filter(({ end }) => end !== undefined).map(({ name }) => name));
    for (const { resource } of inputs) {
      for (const name of resource.status?.removedMigrations?.names ?? []) {
        if (!ended.has(name)) continue;
        await remove(name).catch((error: unknown) => {
          if (!isAppError(error, "NotFound")) errors.push(asAppError(error));
        });
      }
    }
    return errors;
  }

  #inputs(migrations: readonly KnownMigration[]) {
    const { ecVolumes, clock } = this.#deps;
    const nowMs = clock.wallMs();
    const resources = [...this.#deps.policies()].filter((policy) => policy.metadata.deletionTimestamp === undefined);
    const context = {
      preservationMode: this.#settings.preservationMode,
      migrations,
      nowMs,
      ecVolumes: ecVolumes?.() ?? new Map(),
    };
    return resources.map((resource) => ({ resource, ...policyInputOf(resource, context) }));
  }

  /** Has decisions carried out that are no dry run. One that can't be made must not keep the others from it. */
  async #launch(plan: Plan | undefined, inputs: readonly Input[], migrations: readonly KnownMigration[]) {
    const { launcher } = this.#deps;
    const errors: AppError[] = [];
    let count = 0;
    if (launcher === undefined || plan === undefined) return { count, errors };
    const byName = new Map(inputs.map((input) => [input.policy.name, input]));
    const ofVolume = migrationsByVolume(migrations);
    for (const entry of plan.moves) {
      const input = byName.get(entry.policyName);
      if (entry.dryRun || input === undefined) continue;
      const { preservationMode } = input.policy;
      const earlier = ofVolume.get(entry.volume.uuid) ?? [];
      try {
        if (await launcher.launch(entry, input.resource, { preservationMode, earlier })) count += 1;
      } catch (error) {
        errors.push(asAppError(error));
      }
    }
    return { count, errors };
  }

  #decide(
    policies: TieringPolicy[],
    world: World,
    { heats, migrations }: { heats: Heats; migrations: readonly KnownMigration[] },
  ): Plan {
    const { clock } = this.#deps;
    const { maxConcurrent, dryRun, bytesPerSecond } = this.#settings;
    const heat = (policy: TieringPolicy, volume: TieredVolume): Heat => {
      const snapshot = heats.snapshots.get(policy.windowMs);
      // The exporter's pv_name is made of the volume's uuid; the PersistentVolume may have been named by hand.
      if (snapshot !== undefined) return snapshot.of([`pvc-${volume.uuid}`, volume.name]);
      return unknown("SourceUnavailable", heats.errors.get(policy.windowMs)?.message ?? "it was not asked for");
    };
    const active = migrations.flatMap((one) => activeMove(one) ?? []);
    const limits = { maxConcurrent, bytesPerSecond, migrations };
    return decide({ policies, ...world, heat, active, ...limits, dryRun, nowMs: clock.wallMs() });
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

  async #world(
    migrations: readonly KnownMigration[],
    signal: AbortSignal | undefined,
  ): Promise<World | { error: AppError }> {
    const { mayastor, volumes, clock } = this.#deps;
    const { allow = { snapshots: false, offlineRebuild: false } } = this.#settings;
    try {
      const objects = await this.#deps.objects?.(signal);
      const sources = { mayastor, claimed: volumes(), migrations, allow, nowMs: clock.wallMs(), objects };
      return await readWorld(sources, signal);
    } catch (error) {
      signal?.throwIfAborted();
      return { error: asAppError(error) };
    }
  }

  async #writeStatuses(outlooks: readonly { resource: StoragePolicy; outlook: Outlook }[]) {
    const now = isoNow(this.#deps.clock);
    const errors: AppError[] = [];
    let count = 0;
    for (const { resource, outlook } of outlooks) {
      try {
        if (await writePolicyStatus(this.#deps.store, resource, outlook, now)) count += 1;
      } catch (error) {
        // Deleted meanwhile: nothing is left to be told. Anything else must not keep other policies from theirs.
        if (!isAppError(error, "NotFound")) errors.push(asAppError(error));
      }
    }
    return { count, errors };
  }
}

type Input = { resource: StoragePolicy } & PolicyInput;

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
