/** What is kept of Migrations: they outlive their policies, so there may be many, and of those that have ended little matters. */
import type { Migration } from "@couchestor/common/crd/migration.ts";
import type { KubeObject } from "../kube/objects.ts";
import { type KnownMigration, knownMigration } from "../tiering/known-migrations.ts";

export interface KeptMigration {
  metadata: { name: string; uid: string; resourceVersion?: string };
  known: KnownMigration;
  /** It has begun, or is to be called off: what there is of it must be seen to, whatever else. */
  begun: boolean;
  /** How it ended: `Succeeded`, `Failed` …; undefined while it has not. */
  result: string | undefined;
}

/** For an informer of Migrations. */
export function keepMigration(object: KubeObject): KeptMigration {
  const { name, uid = "", resourceVersion } = object.metadata;
  const migration = object as unknown as Partial<Migration>;
  const known = knownMigration(migration as Migration);
  const { phase = "Pending" } = migration.status ?? {};
  return {
    metadata: resourceVersion === undefined ? { name, uid } : { name, uid, resourceVersion },
    known,
    begun: phase !== "Pending" || migration.spec?.abort === true || object.metadata.deletionTimestamp !== undefined,
    result: known.end?.result,
  };
}

/** The ends that the schema knows, as label values. */
export const migrationResults: readonly string[] = ["Succeeded", "Failed", "Aborted", "TimedOut", "Superseded"];
