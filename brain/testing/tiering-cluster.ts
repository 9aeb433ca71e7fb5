/**
 * A cluster in which volumes are tiered: a real API server with claims and volumes, a real Prometheus with an hour of their history, and a
 * simulated Mayastor; with the brain's caches and its tiering over them. What heat a volume has is decided by its number.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { Informer } from "../kube/informer.ts";
import { KubeStore, objectTypeOf } from "../kube/kube-store.ts";
import { type KubeObject, kubeTypes } from "../kube/objects.ts";
import type { Attempt } from "../kube/transport.ts";
import { MayastorClient } from "../mayastor/client.ts";
import { mayastorDriver } from "../mayastor/mapping.ts";
import { type KeptResource, keepWhole } from "../policies/kept.ts";
import {
  claimedVolumes,
  type KeptClaim,
  type KeptVolume,
  keepClaim,
  keepPersistentVolume,
} from "../tiering/kube-volumes.ts";
import { PrometheusHeat } from "../tiering/prometheus-heat.ts";
import { Tiering, type TieringSettings } from "../tiering/reconcile.ts";
import type { ControlPlane } from "./control-plane.ts";
import { historyText } from "./exporter.ts";
import { testClient } from "./kube-fixture.ts";
import { MayastorSim } from "./mayastor/at-rest.ts";
import { until } from "./processes.ts";
import { type Prometheus, startPrometheus } from "./prometheus.ts";

export const tieringStorageClass = "mayastor";
const namespace = "default";
const poolNodes = 6;
const inFlight = 50;
const hourMs = 3_600_000;

export interface TieringClusterOptions {
  volumes: number;
  /** Operations a second of the volume of that number. */
  iops: (n: number) => number;
  scrapeIntervalMs?: number;
  settings?: Partial<TieringSettings>;
  /** How long heat is kept; 30 s unless told otherwise. */
  heatTtlMs?: number;
}

/** The uuid of volume n, counted from 1. */
export function volumeUuid(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
}

/** Builds one on a control plane, which it fills with claims and volumes and cleans of them at the end. */
export async function tieringCluster(plane: ControlPlane, options: TieringClusterOptions): Promise<TieringCluster> {
  await installStoragePolicies(plane);
  const cluster = new TieringCluster(plane, options);
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

export class TieringCluster implements AsyncDisposable {
  readonly sim = new MayastorSim();
  readonly attempts: Attempt[] = [];
  readonly policies: Informer<KubeObject, KeptResource<StoragePolicy>>;
  readonly volumes: Informer<KubeObject, KeptVolume>;
  readonly claims: Informer<KubeObject, KeptClaim>;
  /** Nothing is migrated here. */
  readonly migrations = { whenSynced: Promise.resolve(), values: () => [], addHandler: () => undefined };
  readonly #plane: ControlPlane;
  readonly #options: TieringClusterOptions;
  readonly #deps;
  #prometheus: Prometheus | undefined;
  #tiering: Tiering | undefined;
  #heat: PrometheusHeat | undefined;

  constructor(plane: ControlPlane, options: TieringClusterOptions) {
    this.#plane = plane;
    this.#options = options;
    const client = testClient(plane, "admin", { onAttempt: (attempt) => this.attempts.push(attempt) });
    this.#deps = { client, clock: systemClock, prng: systemPrng, logger: silentLogger() };
    this.policies = new Informer(this.#deps, {
      type: objectTypeOf(storagePolicyKind),
      keep: keepWhole<StoragePolicy>(),
    });
    this.volumes = new Informer(this.#deps, { type: kubeTypes.persistentVolume, keep: keepPersistentVolume });
    this.claims = new Informer(this.#deps, { type: kubeTypes.persistentVolumeClaim, keep: keepClaim });
  }

  get prometheus(): Prometheus {
    return there(this.#prometheus);
  }

  get tiering(): Tiering {
    return there(this.#tiering);
  }

  get heat(): PrometheusHeat {
    return there(this.#heat);
  }

  async start(): Promise<void> {
    const { volumes, settings, heatTtlMs } = this.#options;
    for (let n = 1; n <= poolNodes; n++) {
      for (const tier of ["hot", "warm", "cold"]) {
        this.sim.addPool(`${tier}-${n}`, `node-${n}`, { tier }, { capacityBytes: 2 ** 50 });
      }
    }
    const numbers = Array.from({ length: volumes }, (_, i) => i + 1);
    for (const n of numbers)
      this.sim.addVolume(volumeUuid(n), [`cold-${(n % poolNodes) + 1}`, `cold-${((n + 1) % poolNodes) + 1}`]);
    this.#prometheus = await startPrometheus({ history: this.#history(numbers) });
    await inParallel(numbers, (n) => this.#createVolume(n));
    for (const informer of [this.policies, this.volumes, this.claims]) informer.start();
    await Promise.all([this.policies.whenSynced, this.volumes.whenSynced, this.claims.whenSynced]);
    const ttlMs = heatTtlMs === undefined ? {} : { ttlMs: heatTtlMs };
    this.#heat = new PrometheusHeat(systemClock, {
      url: this.#prometheus.url,
      ratePerSecond: 1_000,
      burst: 1_000,
      ...ttlMs,
    });
    this.#tiering = new Tiering(
      {
        clock: systemClock,
        store: new KubeStore(this.#deps),
        policies: () => this.policies.values(),
        volumes: () => claimedVolumes(this.volumes.values(), (key) => this.claims.get(key)),
        migrations: () => [],
        mayastor: new MayastorClient({ url: this.sim.url }),
        heat: this.#heat,
      },
      { maxConcurrent: 2, dryRun: false, preservationMode: false, ...settings },
    );
  }

  /** Applies a policy and waits until the cache has it. */
  async applyPolicy(name: string, spec: object): Promise<void> {
    const { group, version, plural } = objectTypeOf(storagePolicyKind);
    const path = `/apis/${group}/${version}/${plural}/${name}?fieldManager=test&force=true`;
    const body = { apiVersion: `${group}/${version}`, kind: "StoragePolicy", metadata: { name }, spec };
    const applied = (await this.#plane.request("PATCH", path, body, "application/apply-patch+yaml")) as KubeObject;
    await until(
      "the policy is in the cache",
      () => this.policies.get(name)?.metadata.generation === applied.metadata.generation,
    );
  }

  /** The policy as the API server has it. */
  async policy(name: string): Promise<StoragePolicy> {
    const { group, version, plural } = objectTypeOf(storagePolicyKind);
    return (await this.#plane.request("GET", `/apis/${group}/${version}/${plural}/${name}`)) as StoragePolicy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.policies.stop(), this.volumes.stop(), this.claims.stop()]);
    await Promise.all([this.sim[Symbol.asyncDispose](), this.#prometheus?.stop()]);
    const { group, version, plural } = objectTypeOf(storagePolicyKind);
    const lists = [
      `/apis/${group}/${version}/${plural}`,
      "/api/v1/persistentvolumes",
      `/api/v1/namespaces/${namespace}/persistentvolumeclaims`,
    ];
    // Nothing here runs the controllers that would let go of protected volumes and claims.
    for (const list of lists) {
      const { items } = (await this.#plane.request("GET", list)) as { items: KubeObject[] };
      await inParallel(items, async ({ metadata: { name, finalizers = [] } }) => {
        if (finalizers.length > 0) {
          await this.#plane.request(
            "PATCH",
            `${list}/${name}`,
            { metadata: { finalizers: null } },
            "application/merge-patch+json",
          );
        }
        await this.#plane.request("DELETE", `${list}/${name}`);
      });
    }
  }

  #history(numbers: readonly number[]): string {
    const endMs = systemClock.wallMs();
    const { iops, scrapeIntervalMs = 30_000 } = this.#options;
    return historyText(
      numbers.map((n) => ({
        pvName: `pvc-${volumeUuid(n)}`,
        node: `node-${(n % poolNodes) + 1}`,
        endMs,
        lengthMs: 1.1 * hourMs,
        scrapeIntervalMs,
        readsPerSecond: () => (iops(n) * 2) / 3,
        writesPerSecond: () => iops(n) / 3,
      })),
    );
  }

  async #createVolume(n: number): Promise<void> {
    const claimPath = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
    const name = `pvc-${volumeUuid(n)}`;
    const common = { accessModes: ["ReadWriteOnce"], storageClassName: tieringStorageClass };
    const claim = (await this.#plane.request("POST", claimPath, {
      metadata: { name: `claim-${n}`, labels: { number: String(n) } },
      spec: { ...common, volumeName: name, resources: { requests: { storage: "1Gi" } } },
    })) as { metadata: { uid: string } };
    await this.#plane.request("POST", "/api/v1/persistentvolumes", {
      metadata: { name },
      spec: {
        ...common,
        capacity: { storage: "1Gi" },
        csi: { driver: mayastorDriver, volumeHandle: volumeUuid(n) },
        claimRef: { kind: "PersistentVolumeClaim", namespace, name: `claim-${n}`, uid: claim.metadata.uid },
      },
    });
  }
}

async function installStoragePolicies(plane: ControlPlane): Promise<void> {
  const name = "storagepolicies.storage.billyronks.io";
  const text = await readFile(join(import.meta.dir, `../../deploy/crds/${name}.yaml`), "utf8");
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}?fieldManager=test&force=true`;
  await plane.request("PATCH", path, Bun.YAML.parse(text), "application/apply-patch+yaml");
  const { group, version, plural } = objectTypeOf(storagePolicyKind);
  await until("StoragePolicy is served", () => plane.request("GET", `/apis/${group}/${version}/${plural}`));
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: Math.min(inFlight, items.length) }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the cluster has not been started");
  return value;
}
