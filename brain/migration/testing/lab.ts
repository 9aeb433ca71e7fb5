/** A simulated cluster on virtual time in which one migration is carried out, for tests that say exactly what there is and what happens. */
import type { Migration, MigrationSpec, MigrationStatus } from "@couchestor/common/crd/migration.ts";
import { migrationKind } from "@couchestor/common/crd/migration.ts";
import { publish } from "../../testing/mayastor/environment.ts";
import type { MayastorSettings } from "../../testing/mayastor/settings.ts";
import type { TruthPool, TruthVolume } from "../../testing/mayastor/truth.ts";
import { Migrations } from "../migrations.ts";
import { type MigrationAllowances, migrationSettings, noAllowances } from "../settings.ts";
import { World } from "../sim/world.ts";

export const gib = 1024 ** 3;
const hourMs = 3_600_000;
const name = "move";

export interface LabOptions {
  minor?: number;
  allow?: Partial<MigrationAllowances>;
  control?: Partial<MayastorSettings>;
  settings?: Partial<typeof migrationSettings>;
}

export class Lab {
  readonly world: World;

  constructor({ minor = 10, allow = {}, control = {}, settings = {} }: LabOptions = {}) {
    const all = { ...migrationSettings, ...settings, allow: { ...noAllowances, ...allow } };
    this.world = new World({
      seed: 7,
      settings: { version: { minor, patch: 0 }, cachePeriodMs: 10_000, ...control },
      makeDriver: (deps) => new Migrations(deps, all),
    });
  }

  /** `hot-1` on `node-1`, with its tier as a label. */
  pools(
    tier: string,
    nodes: readonly number[],
    more: Partial<TruthPool> = {},
    labels: Record<string, string> = {},
  ): this {
    for (const n of nodes) this.world.cluster.addPool(`${tier}-${n}`, `node-${n}`, { tier, ...labels }, more);
    return this;
  }

  /** A published volume with complete replicas on these pools, which asks for pools with any tier. */
  volume(pools: readonly string[], more: Partial<TruthVolume> = {}): TruthVolume {
    const { cluster, prng } = this.world;
    const poolInclusion = { "openebs.io/created-by": "operator-diskpool", tier: "" };
    const volume = cluster.addVolume(prng.uuid(), pools, { sizeBytes: gib, poolInclusion, ...more });
    publish(cluster, volume, cluster.pool(pools[0] ?? "").node);
    return volume;
  }

  /** What it takes to move its replicas from one tier to the other. */
  spec(
    volume: TruthVolume,
    fromTier: "hot" | "cold",
    toTier: "hot" | "cold",
    more: Partial<MigrationSpec> = {},
  ): MigrationSpec {
    const { cluster } = this.world;
    const toPools = [...cluster.pools.keys()].filter((pool) => pool.startsWith(toTier));
    const replicas = [...volume.replicas.values()]
      .filter(({ pool }) => pool.startsWith(fromTier))
      .map(({ uuid, pool }) => ({ replicaUuid: uuid, fromPool: pool, fromNode: cluster.pool(pool).node, toPools }));
    return {
      volumeName: `pvc-${volume.uuid}`,
      volumeUuid: volume.uuid,
      mover: "Mayastor",
      fromTier,
      toTier,
      originalReplicaCount: volume.numReplicas,
      finalReplicaCount: volume.numReplicas,
      replicas,
      sizeBytes: volume.sizeBytes,
      reason: "a test",
      timeout: "60m",
      preservationMode: false,
      abort: false,
      ...more,
    };
  }

  /** Begins it. `consented`: copies that may be missing for a while, since somebody has allowed that. */
  async begin(spec: MigrationSpec, consented = 0, as = name): Promise<void> {
    if (this.world.brains.length === 0) this.world.startBrain();
    await this.world.migrate(as, spec, consented);
  }

  /** Carries it out to its end, and some more. */
  async carryOut(spec: MigrationSpec, consented = 0, as = name): Promise<MigrationStatus> {
    await this.begin(spec, consented, as);
    return await this.end(as);
  }

  async end(of = name): Promise<MigrationStatus> {
    const { world } = this;
    await world.run(6 * hourMs);
    await world.clock.pass(180_000);
    world.plane.catchUp();
    world.watch.judge();
    return this.status(of);
  }

  /** Lets time go on until the migration is so far. */
  async until(what: string, holds: (status: MigrationStatus) => boolean): Promise<MigrationStatus> {
    for (let i = 0; i < 7_200; i++) {
      const { status } = this.object() ?? {};
      if (status !== undefined && holds(status)) return status;
      await this.world.clock.pass(1_000);
      this.world.plane.catchUp();
    }
    throw new Error(`never: ${what}; it is ${JSON.stringify(this.object()?.status)}`);
  }

  object(of = name): Migration | undefined {
    return this.world.migration(of);
  }

  status(of = name): MigrationStatus {
    const status = this.object(of)?.status;
    if (status === undefined) throw new Error(`${of} has no status`);
    return status;
  }

  async abort(of = name): Promise<void> {
    const object = this.object(of) as Migration;
    await this.world.store.update(migrationKind, { ...object, spec: { ...object.spec, abort: true } });
  }

  /** Where a volume's replicas are, sorted; `!` if one is not complete. */
  where(volume: TruthVolume): string[] {
    return [...volume.replicas.values()].map(({ pool, complete }) => (complete ? pool : `${pool}!`)).sort();
  }

  /** What went against the invariants. */
  get violations(): string[] {
    return [...this.world.zeroLoss.violations, ...this.world.watch.violations];
  }

  /** What is set at the control plane by anybody. */
  get cordons(): string[] {
    const { nodes, pools } = this.world.cluster;
    const ofNodes = [...nodes.values()].flatMap((node) => [...node.cordons].map((label) => `${node.id} ${label}`));
    return [...ofNodes, ...[...pools.values()].filter((pool) => pool.cordon.replicas).map(({ id }) => id)];
  }
}

/** The steps that were taken, by name. */
export function stepsOf({ steps }: MigrationStatus): string[] {
  return steps.map(({ name: step }) => step);
}
