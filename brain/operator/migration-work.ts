/** Carrying out Migrations while this brain leads: the mover's controller over the Kubernetes store, with what people hear of it. */
import { lossesTolerated } from "@couchestor/common/code/code.ts";
import { type EcVolume, ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { MayastorClient } from "../mayastor/client.ts";
import { migrationController } from "../migration/controller.ts";
import { Migrations } from "../migration/migrations.ts";
import type { EcStanding, MigrationDeps } from "../migration/ports.ts";
import type { MigrationSettings } from "../migration/settings.ts";
import type { Controller, ControllerDeps, Source } from "../runtime/controller.ts";
import type { Leadership } from "../runtime/leadership.ts";
import type { ResourceStore } from "../store/ports.ts";
import type { WholeVolumes } from "../volumes/whole.ts";
import type { KeptMigration } from "./kept-migration.ts";

export interface MigrationWork {
  deps: { clock: Clock; prng: Prng; logger: Logger };
  store: ResourceStore;
  mayastor: MayastorClient;
  leadership: Leadership;
  whole: Pick<WholeVolumes, "isWhole">;
  settings: MigrationSettings;
  /** Those that wait to begin go on waiting; those under way go on to their end. */
  dryRun: boolean;
  whyNotBegin: NonNullable<MigrationDeps["whyNotBegin"]>;
  tell: MigrationDeps["tell"];
  metrics: MigrationDeps["metrics"];
}

/** The controller that carries out Migrations for one term. */
export function migrationWork(
  work: MigrationWork,
  controller: ControllerDeps,
  source: Source<KeptMigration>,
): Controller {
  const { dryRun, deps, store, mayastor, leadership, whole, settings, whyNotBegin, tell, metrics } = work;
  const migrations = new Migrations(
    {
      store,
      mayastor,
      clock: deps.clock,
      prng: deps.prng,
      log: deps.logger,
      leadership,
      ecHealth: (name) => ecStanding(store, whole, name),
      whyNotBegin,
      tell,
      metrics,
    },
    settings,
  );
  return migrationController(controller, migrations, dryRun ? onlyBegun(source) : source, {
    mayAct: () => leadership.assertLeader(),
  });
}

/** Without those that wait to begin. */
export function onlyBegun(source: Source<KeptMigration>): Source<KeptMigration> {
  return {
    whenSynced: source.whenSynced,
    values: () => [...source.values()].filter(({ begun }) => begun),
    addHandler: ({ added, updated, deleted }) =>
      source.addHandler({
        added: (migration) => {
          if (migration.begun) added?.(migration);
        },
        updated: (migration, before) => {
          if (migration.begun) updated?.(migration, before);
        },
        deleted: (migration) => deleted?.(migration),
      }),
  };
}

/** How an ECVolume stands, by its object and by what is known of its runs and their pools. */
export async function ecStanding(
  store: Pick<ResourceStore, "get">,
  whole: Pick<WholeVolumes, "isWhole">,
  name: string,
): Promise<EcStanding | undefined> {
  const volume = (await store.get(ecVolumeKind, name)) as EcVolume | undefined;
  if (volume === undefined) return undefined;
  const ready = volume.status?.phase === "Ready" && volume.metadata.deletionTimestamp === undefined;
  return { parityShards: lossesTolerated(volume.spec.code), healthy: ready && whole.isWhole(name) === true };
}
