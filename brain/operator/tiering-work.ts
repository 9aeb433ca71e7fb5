/** Tiering for one term: over the caches, with the launcher that makes Migrations of its decisions. */
import { migrationKind } from "@couchestor/common/crd/migration.ts";
import { formatDuration } from "@couchestor/common/units/duration.ts";
import { MayastorObjects } from "../kube/mayastor-objects.ts";
import { type KubeObject, kubeTypes } from "../kube/objects.ts";
import type { Leadership } from "../runtime/leadership.ts";
import type { ResourceStore } from "../store/ports.ts";
import { claimedVolumes } from "../tiering/kube-volumes.ts";
import { Launcher, type LauncherDeps } from "../tiering/launcher.ts";
import { Tiering } from "../tiering/reconcile.ts";
import { noteReplicaCount } from "../tiering/volume-notes.ts";
import type { WholeVolumes } from "../volumes/whole.ts";
import type { OperatorParts } from "./parts.ts";

const annotateMsMax = 10_000;

export interface TieringWork {
  store: ResourceStore;
  leadership: Leadership;
  whole: Pick<WholeVolumes, "isWhole">;
  decided: LauncherDeps["decided"];
}

/** What looks, decides and has it carried out. */
export function tieringWork(parts: OperatorParts, { store, leadership, whole, decided }: TieringWork): Tiering {
  const { deps, config, heat, mayastor, caches, client } = parts;
  const { clock } = deps;
  const notes = {
    annotate: async (name: string, annotations: Record<string, string | null>): Promise<void> => {
      const before = () => leadership.assertLeader();
      const timeoutMs = () => Math.max(1, Math.min(annotateMsMax, leadership.remainingMs()));
      await client.mergePatch<KubeObject>(
        kubeTypes.persistentVolume,
        { name },
        { metadata: { annotations } },
        { before, timeoutMs },
      );
    },
  };
  const objects = new MayastorObjects(client, clock);
  const launcher = new Launcher(
    { clock, store, decided, noteReplicaCount: (name, count) => noteReplicaCount(notes, name, count) },
    formatDuration(config.migrationTimeoutMs),
  );
  return new Tiering(
    {
      clock,
      store,
      policies: () => caches.policies.values(),
      volumes: () => claimedVolumes(caches.volumes.values(), (key) => caches.claims.get(key)),
      migrations: () => [...caches.migrations.values()].map(({ known }) => known),
      ecVolumes: () =>
        new Map(
          [...caches.ecVolumes.values()].map(({ metadata: { name }, policyRef }) => [
            name,
            {
              policyRef,
              // Asked of those alone that pools stand on.
              get whole() {
                return whole.isWhole(name);
              },
            },
          ]),
        ),
      remove: (name) => store.delete(migrationKind, name),
      objects: (signal) => objects.look(signal),
      launcher,
      notes,
      mayastor,
      heat,
    },
    {
      maxConcurrent: config.maxConcurrentMigrations,
      bytesPerSecond: config.migrationBytesPerSecond,
      allow: config.migration.allow,
      dryRun: config.dryRun,
      preservationMode: config.preservationMode,
    },
  );
}
