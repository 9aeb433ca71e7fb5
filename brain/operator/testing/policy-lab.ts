/**
 * From a policy to replicas that move, in one process on virtual time: the real tiering, launcher and mover with their controllers, wired as in a term, over
 * a store in memory with the rules of every store and the simulated Mayastor. Heat is what the test says; every change of truth is held to the invariants.
 */
import { ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import type { Migration } from "@couchestor/common/crd/migration.ts";
import { apiVersion, type Resource, type ResourceKind } from "@couchestor/common/crd/object.ts";
import {
  type StoragePolicy,
  storagePolicyKind,
  storagePolicySpecSchema,
} from "@couchestor/common/crd/storage-policy.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { KubeObject } from "../../kube/objects.ts";
import { MayastorClient } from "../../mayastor/client.ts";
import { noMetrics } from "../../migration/ports.ts";
import { type MigrationSettings, migrationSettings } from "../../migration/settings.ts";
import { Lab } from "../../migration/testing/lab.ts";
import type { Controller } from "../../runtime/controller.ts";
import type { Leadership } from "../../runtime/leadership.ts";
import type { ResourceStore } from "../../store/ports.ts";
import { ecVolumeSample } from "../../testing/crd-samples.ts";
import type { MayastorSettings } from "../../testing/mayastor/settings.ts";
import type { TruthVolume } from "../../testing/mayastor/truth.ts";
import { tieringController } from "../../tiering/controller.ts";
import { lastMigrationAnnotation } from "../../tiering/cooldown.ts";
import { replicaCountAnnotation } from "../../tiering/erasure-coded.ts";
import { unknown } from "../../tiering/heat.ts";
import type { ClaimedVolume } from "../../tiering/kube-volumes.ts";
import { Launcher } from "../../tiering/launcher.ts";
import { whyNotBegin } from "../../tiering/policy-input.ts";
import { Tiering } from "../../tiering/reconcile.ts";
import { noteReplicaCount } from "../../tiering/volume-notes.ts";
import { type KeptMigration, keepMigration } from "../kept-migration.ts";
import { migrationWork } from "../migration-work.ts";
import { Told } from "./told.ts";

const stepSeconds = 5;

export interface PolicyLabOptions {
  control?: Partial<MayastorSettings>;
  settings?: Partial<MigrationSettings>;
}

export class PolicyLab {
  readonly lab: Lab;
  /** IOPS by volume. */
  readonly heat = new Map<TruthVolume, number>();
  /** Of the PersistentVolumes, by name. */
  readonly annotations = new Map<string, Record<string, string>>();
  /** Whether the ECVolume `ec` is whole, as far as the brain knows. */
  whole: boolean | undefined = true;
  tiering: Tiering | undefined;
  readonly #volumes: TruthVolume[] = [];
  readonly #kept = new Map<string, KeptMigration>();
  readonly #policies = new Told<StoragePolicy>(() => this.#policiesNow());
  readonly #migrations = new Told<KeptMigration>(() => this.#kept.values());
  readonly #settings: MigrationSettings;
  #controllers: Controller[] = [];

  constructor({ control = {}, settings = {} }: PolicyLabOptions = {}) {
    this.lab = new Lab({ control });
    this.#settings = { ...migrationSettings, ...settings };
    const { store } = this.lab.world;
    const { onWrite } = store;
    store.onWrite = (kind, name) => {
      if (kind === "Migration" && !this.#kept.has(name)) this.lab.world.attend(name, this.migration(name).spec);
      onWrite?.(kind, name);
      if (kind === "Migration") this.#seen(name);
    };
  }

  /** A volume with a PersistentVolume and a claim, of 20 GiB. */
  volume(pools: readonly string[], iops: number): TruthVolume {
    const volume = this.lab.volume(pools, { sizeBytes: 20 * 1024 ** 3 });
    this.#volumes.push(volume);
    this.heat.set(volume, iops);
    return volume;
  }

  /** The cold pool that stands on the ECVolume `ec` of ErasureCodingPolicy `rs`, which bears two losses. */
  async codedPool(node: number): Promise<void> {
    const code = { erasureCoded: { lossesMax: 2, healthy: true } };
    this.lab.pools("cold", [node], code, { "couchestor/ec-volume": "ec" });
    const spec = { ...ecVolumeSample.spec, policyRef: "rs", code: { family: "rs", k: 4, m: 2 } as const };
    await this.#put(ecVolumeKind, { ...ecVolumeSample, metadata: { name: "ec" }, spec });
  }

  /** Shards of the ECVolume are lost, or have been rebuilt: the truth, and what the brain knows of it. */
  codeIs(healthy: boolean): void {
    const { cluster } = this.lab.world;
    for (const volume of this.#volumes) {
      cluster.transition(volume, "fault", healthy ? "shards are rebuilt" : "shards are lost", () => {
        for (const { erasureCoded } of cluster.pools.values()) if (erasureCoded) erasureCoded.healthy = healthy;
      });
    }
    this.whole = healthy;
  }

  /** Applies a policy of two tiers. */
  async policy(spec: object): Promise<void> {
    const selector = (tier: string) => ({ matchLabels: { tier } });
    const tiers = { hotPoolSelector: selector("hot"), coldPoolSelector: selector("cold"), warmWatermarkIOPS: 0 };
    const { store } = this.lab.world;
    const all = storagePolicySpecSchema.parse({ ...tiers, cooldownPeriod: "1h", migrationTimeout: "24h", ...spec });
    const there = store.peek(storagePolicyKind, "p");
    if (there === undefined)
      await store.create(storagePolicyKind, { apiVersion, kind: "StoragePolicy", metadata: { name: "p" }, spec: all });
    else await store.update(storagePolicyKind, { ...there, spec: all });
  }

  /** Annotates the policy. */
  async annotate(annotations: Record<string, string>): Promise<void> {
    const { store } = this.lab.world;
    const policy = must(store.peek(storagePolicyKind, "p"), "the policy");
    await store.update(storagePolicyKind, { ...policy, metadata: { ...policy.metadata, annotations } });
  }

  get status(): NonNullable<StoragePolicy["status"]> {
    return must(this.lab.world.store.peek(storagePolicyKind, "p")?.status, "the policy's status");
  }

  /** A brain begins to lead. */
  start(): void {
    const { clock, store: memory, plane } = this.lab.world;
    const store = memory as unknown as ResourceStore;
    const deps = { clock, prng: seededPrng(11), logger: silentLogger() };
    const leadership = { assertLeader: () => undefined } as Leadership;
    const mayastor = new MayastorClient({ transport: plane.transport() });
    const notes = { annotate: (name: string, changes: Record<string, string | null>) => this.#annotate(name, changes) };
    const known = () => [...this.#kept.values()].map((migration) => migration.known);
    const whole = { isWhole: () => this.whole };
    const noteCount = (name: string, count: number) => noteReplicaCount(notes, name, count);
    const launcher = new Launcher({ clock, store, decided: () => undefined, noteReplicaCount: noteCount }, "24h");
    this.tiering = new Tiering(
      {
        clock,
        store,
        policies: () => this.#policiesNow(),
        volumes: () => this.#claimed(),
        migrations: known,
        ecVolumes: () => new Map([["ec", { policyRef: "rs", whole: this.whole }]]),
        launcher,
        notes,
        mayastor,
        heat: this.#heatSource(),
      },
      { maxConcurrent: 4, dryRun: false, preservationMode: false },
    );
    const none = new Told<never>(() => []);
    const sources = { policies: this.#policies, volumes: none, claims: none, migrations: this.#migrations };
    const mover = migrationWork(
      {
        deps,
        store,
        mayastor,
        leadership,
        whole,
        settings: this.#settings,
        dryRun: false,
        whyNotBegin: (policy) => whyNotBegin(policy, known(), clock.wallMs()),
        tell: () => undefined,
        metrics: noMetrics,
      },
      deps,
      this.#migrations,
    );
    this.#controllers = [tieringController(deps, this.tiering, sources), mover];
    for (const controller of this.#controllers) controller.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#controllers.map((controller) => controller.stop()));
  }

  /** Lets time go by. */
  async pass(seconds: number): Promise<void> {
    for (let left = seconds; left > 0; left -= stepSeconds) {
      await this.lab.world.clock.pass(1_000 * Math.min(left, stepSeconds));
      this.lab.world.plane.catchUp();
    }
  }

  /** Lets time go by until it holds; two days at most. */
  async until(what: string, holds: () => boolean): Promise<void> {
    for (let seconds = 0; !holds(); seconds += stepSeconds) {
      if (seconds > 172_800) throw new Error(`never: ${what}; ${JSON.stringify(this.all.map(({ status }) => status))}`);
      await this.pass(stepSeconds);
    }
  }

  /** All Migrations, the oldest first. */
  get all(): Migration[] {
    return [...this.#kept.keys()].map((name) => this.migration(name));
  }

  /** Those of a volume. */
  of(volume: TruthVolume): Migration[] {
    return this.all.filter(({ spec }) => spec.volumeUuid === volume.uuid);
  }

  migration(name: string): Migration {
    return must(this.lab.world.migration(name), name);
  }

  annotationsOf(volume: TruthVolume): Record<string, string> {
    return this.annotations.get(`pvc-${volume.uuid}`) ?? {};
  }

  /** What the latest look says of a volume. */
  decision(volume: TruthVolume): string {
    const entries = this.tiering?.latest?.plan?.policies.flatMap((policy) => policy.entries) ?? [];
    const entry = entries.find((one) => one.volume.uuid === volume.uuid);
    return `${entry?.action} ${entry?.reason}`;
  }

  #policiesNow(): StoragePolicy[] {
    const policy = this.lab.world.store.peek(storagePolicyKind, "p");
    return policy === undefined ? [] : [policy as StoragePolicy];
  }

  #claimed(): ClaimedVolume[] {
    return this.#volumes.map((volume, i) => ({
      uuid: volume.uuid,
      name: `pvc-${volume.uuid}`,
      claim: { namespace: "default", name: `claim-${i}`, labels: {} },
      storageClassName: "mayastor",
      sizeBytes: volume.sizeBytes,
      lastMigration: this.annotationsOf(volume)[lastMigrationAnnotation],
      replicaCount: this.annotationsOf(volume)[replicaCountAnnotation],
    }));
  }

  #heatSource() {
    const { clock } = this.lab.world;
    const iopsOf = (names: readonly string[]) =>
      [...this.heat].find(([{ uuid }]) => names.includes(`pvc-${uuid}`))?.[1];
    return {
      name: "a test",
      ping: () => Promise.resolve(),
      snapshot: async () => ({
        of: (names: readonly string[]) => {
          const iops = iopsOf(names);
          if (iops === undefined) return unknown("SeriesMissing", "none");
          return { kind: "score", iops, samples: 9, source: "a test", ageMs: 1 } as const;
        },
        volumes: this.heat.size,
        requests: 1,
        clockOffsetMs: 0,
        takenAtMs: clock.monotonicMs(),
      }),
    };
  }

  async #annotate(name: string, changes: Record<string, string | null>): Promise<void> {
    const after = { ...this.annotations.get(name) };
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) delete after[key];
      else after[key] = value;
    }
    this.annotations.set(name, after);
  }

  #seen(name: string): void {
    const object = this.lab.world.migration(name);
    if (object === undefined) return;
    const before = this.#kept.get(name);
    const kept = keepMigration(object as unknown as KubeObject);
    this.#kept.set(name, kept);
    this.#migrations.tell(kept, before);
  }

  async #put<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<void> {
    const { store } = this.lab.world;
    const made = await store.create(kind, object);
    await store.updateStatus(kind, { ...made, ...(object.status === undefined ? {} : { status: object.status }) });
  }
}
