/**
 * `couchestor volume recover`: volumes and stripe maps from the disks alone, when the database is gone. By explicit order only, into an empty database.
 * The cluster's identity is written last: until then the brain stays unclaimed, and the same order takes the work up again.
 */
import type { RecoverReport } from "@couchestor/common/api/admin.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import { observeAll } from "../volumes/run-status.ts";
import type { Services } from "../volumes/services.ts";
import type { Tombstones } from "../volumes/tombstone.ts";
import { Census } from "./chunk-census.ts";
import { type RecoveredVolume, recoverVolume } from "./rebuild-objects.ts";

/** Chunks asked for at once; each is read whole when it is verified. */
const pageChunks = 256;
const poolsAtOnce = 4;
const writesAtOnce = 32;

export class Recovery {
  readonly #services: Services;
  #report: RecoverReport | undefined;
  #work: Promise<void> | undefined;

  readonly #tombstones: Tombstones;

  constructor(services: Services, tombstones: Tombstones) {
    this.#services = services;
    this.#tombstones = tombstones;
  }

  /** The recovery under way or the last one. Throws `NotFound`. */
  report(): RecoverReport {
    if (!this.#report) throw new AppError("NotFound", "no recovery was started since this brain started");
    return this.#report;
  }

  /** Starts a recovery. `FailedPrecondition` if the database has volumes of its own, or there is nothing to read. */
  start(request: { verify: boolean; dryRun: boolean }): RecoverReport {
    if (this.#report?.state === "Running") throw new AppError("Conflict", "a recovery is running already");
    const { cluster, catalogue } = this.#services;
    if (!request.dryRun && cluster.state === "claimed" && catalogue.volumes().length > 0) {
      throw new AppError(
        "FailedPrecondition",
        `recovery is for a brain whose database was lost, and this one has volumes (${catalogue.volumes().length}); --dry-run compares`,
      );
    }
    const pools = this.#pools();
    this.#report = {
      state: "Running",
      dryRun: request.dryRun,
      poolsRead: 0,
      poolsTotal: pools.length,
      chunksRead: 0,
      volumes: [],
    };
    this.#work = this.#run(this.#report, request).catch((error) => {
      const report = must(this.#report, "the report");
      report.state = "Failed";
      report.error = toAppError(error).message;
      this.#services.context.log.error({ error: String(error) }, "recovery failed");
    });
    return this.#report;
  }

  async settle(): Promise<void> {
    await this.#work;
  }

  async #run(report: RecoverReport, request: { verify: boolean; dryRun: boolean }): Promise<void> {
    const census = await this.#read(report, request.verify);
    const clusterUuid = this.#clusterOf(census);
    report.clusterUuid = clusterUuid;
    const recovered = this.#rebuild(census);
    report.volumes = recovered.map((r) => r.report);
    if (!request.dryRun) await this.#write(recovered, clusterUuid);
    report.state = "Done";
  }

  async #read(report: RecoverReport, verify: boolean): Promise<Census> {
    const census = new Census();
    const queue = this.#pools();
    const lane = async (): Promise<void> => {
      for (let pool = queue.shift(); pool; pool = queue.shift()) {
        await this.#readPool(pool, verify, census, report);
        report.poolsRead++;
      }
    };
    await Promise.all(Array.from({ length: poolsAtOnce }, lane));
    return census;
  }

  async #readPool(pool: PoolAt, verify: boolean, census: Census, report: RecoverReport): Promise<void> {
    let after: string | undefined;
    do {
      const page = await this.#services.context.agents.listChunks(pool.url, pool.poolUuid, {
        after,
        limit: pageChunks,
        verify,
      });
      for (const { info, state } of page.chunks) {
        census.add(
          { ...info, poolUuid: pool.poolUuid },
          verify ? state === "ok" : state === undefined || state === "ok",
        );
      }
      report.chunksRead = census.chunksRead;
      after = page.next;
    } while (after !== undefined);
  }

  #clusterOf(census: Census): string {
    const carried = new Set(
      [...this.#pools().map((p) => p.clusterUuid), ...census.clusterUuids.keys()].filter((u) => u !== zeroUuid),
    );
    const ours = this.#services.cluster.uuid;
    if (ours) carried.add(ours);
    const [only, ...others] = carried;
    if (only === undefined)
      throw new AppError("FailedPrecondition", "no pool that is online holds anything to recover from");
    if (others.length === 0) return only;
    throw new AppError(
      "FailedPrecondition",
      `the pools belong to several clusters (${[...carried].join(", ")}): stop the agents of all but one, restart the brain and try again`,
      { data: { clusters: [...carried] } },
    );
  }

  #rebuild(census: Census): RecoveredVolume[] {
    const { inventory, context } = this.#services;
    const since = isoNow(context.clock);
    const names = {
      host: (poolUuid: string) => {
        const host = inventory.host(poolUuid);
        return host && { nodeName: host.node.name, poolName: host.pool.poolName };
      },
    };
    const taken = new Set<string>();
    // Known to have been deleted: what is left of it is garbage.
    const undeleted = [...census.volumes.values()].filter((v) => this.#tombstones.of(v.volumeUuid) === undefined);
    const volumes = undeleted.sort((a, b) => (a.volumeUuid < b.volumeUuid ? -1 : 1));
    return volumes.flatMap((volume) => recoverVolume(volume, taken, names, since) ?? []);
  }

  async #write(recovered: readonly RecoveredVolume[], clusterUuid: string): Promise<void> {
    const { catalogue, cluster } = this.#services;
    const uuids = new Set(recovered.map((r) => r.volume.spec.volumeUuid));
    const strange = catalogue.volumes().find((volume) => !uuids.has(volume.spec.volumeUuid));
    if (strange)
      throw new AppError(
        "FailedPrecondition",
        `the database has volume ${strange.metadata.name}, which no disk knows; recovery is for an empty one`,
      );
    for (const { volume, runs } of recovered) {
      // Runs first: a volume that is seen has its whole map.
      for (let next = 0; next < runs.length; next += writesAtOnce) {
        await Promise.all(runs.slice(next, next + writesAtOnce).map((run) => catalogue.ensureRun(run)));
      }
      if (!catalogue.volumeByUuid(volume.spec.volumeUuid)) await catalogue.createVolume(volume);
    }
    if (cluster.uuid === undefined) await cluster.adopt(clusterUuid);
    await observeAll(this.#services);
  }

  #pools(): PoolAt[] {
    return this.#services.inventory
      .online()
      .flatMap((node) =>
        node.heartbeat.pools
          .filter((pool) => pool.state !== "Failed")
          .map(({ poolUuid, clusterUuid }) => ({ poolUuid, clusterUuid, url: node.heartbeat.clusterUrl })),
      );
  }
}

interface PoolAt {
  poolUuid: string;
  clusterUuid: string;
  url: string;
}
