/**
 * A cluster in which volumes really move: on top of `TieringCluster` (a real API server and Prometheus), a Mayastor that follows its rules, over
 * HTTP and in real time, with its caches and rebuilds sped up. Every change of truth is held to the invariant that nothing is lost by our doing.
 */
import type { Migration } from "@couchestor/common/crd/migration.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { ControlPlane } from "../../testing/control-plane.ts";
import { publish } from "../../testing/mayastor/environment.ts";
import { MayastorServer } from "../../testing/mayastor/http-front.ts";
import type { MayastorSettings } from "../../testing/mayastor/settings.ts";
import { ZeroLoss } from "../../testing/mayastor/zero-loss.ts";
import { volumeUuid } from "../../testing/tiering-cluster.ts";

const migrationsPath = "/apis/storage.billyronks.io/v1/migrations";

/** What a brain needs to be as quick as this Mayastor. */
export const quickFlags = ["--settle-time=1s", "--sync-poll-interval-seconds=1"];

export class MovingMayastor implements AsyncDisposable {
  readonly server: MayastorServer;
  readonly zeroLoss: ZeroLoss;

  constructor(settings: Partial<MayastorSettings> = {}) {
    this.server = new MayastorServer({
      prng: seededPrng(7),
      settings: { cachePeriodMs: 400, reconcileMs: 1_000, rebuildBytesPerSecond: 2e9, ...settings },
    });
    this.zeroLoss = new ZeroLoss(this.cluster);
    this.server.plane.onCall = ({ method, path }) => this.calls.push(`${method} ${path}`);
  }

  /** `METHOD path` of every call, in order. */
  readonly calls: string[] = [];

  get url(): string {
    return this.server.url;
  }

  get cluster() {
    return this.server.plane.cluster;
  }

  /** `hot-1` on `node-1` and so on, of three tiers. */
  addPools(nodes: number, labels: (tier: string) => Record<string, string> = () => ({})): this {
    for (let n = 1; n <= nodes; n++)
      for (const tier of ["hot", "warm", "cold"])
        this.cluster.addPool(`${tier}-${n}`, `node-${n}`, { tier, ...labels(tier) });
    return this;
  }

  /** A published volume of the number that the Kubernetes side knows it by. */
  addVolume(n: number, pools: readonly string[], sizeBytes = 1024 ** 3): this {
    const volume = this.cluster.addVolume(volumeUuid(n), pools, { sizeBytes });
    publish(this.cluster, volume, this.cluster.pool(pools[0] ?? "").node);
    this.zeroLoss.watch(volume.uuid, { needed: this.cluster.copies(volume.uuid), countMin: 1, consented: 0 });
    return this;
  }

  /** The tiers of a volume's complete replicas, sorted. */
  tiers(n: number): string[] {
    this.server.plane.catchUp();
    const volume = this.cluster.volume(volumeUuid(n));
    return [...volume.replicas.values()]
      .map(({ pool, complete }) => `${pool.split("-")[0]}${complete ? "" : "!"}`)
      .sort();
  }

  /** Cordons that are set, by anybody. */
  get cordons(): string[] {
    const { nodes, pools } = this.cluster;
    const ofNodes = [...nodes.values()].flatMap((node) => [...node.cordons].map((label) => `${node.id} ${label}`));
    return [...ofNodes, ...[...pools.values()].filter((pool) => pool.cordon.replicas).map(({ id }) => id)];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

/** All Migrations of the cluster. */
export async function migrationsIn(plane: ControlPlane): Promise<Migration[]> {
  return ((await plane.request("GET", migrationsPath)) as { items: Migration[] }).items;
}
