/** What is kept of Migrations: they outlive their policies, so there may be many, and of those that have ended little matters. */
import type { Migration } from "@couchestor/common/crd/migration.ts";
import type { KubeObject } from "../kube/objects.ts";
import { type KnownMigration, knownMigration } from "../tiering/known-migrations.ts";

export interface KeptMigration {
  metadata: { name: string; uid: string; resourceVersion?: string };
  known: KnownMigration;
  /** How it ended: `Succeeded`, `Failed` …; undefined while it has not. */
  result: string | undefined;
}

/** For an informer of Migrations. */
export function keepMigration(object: KubeObject): KeptMigration {
  const { name, uid = "", resourceVersion } = object.metadata;
  const known = knownMigration(object as unknown as Migration);
  return {
    metadata: resourceVersion === undefined ? { name, uid } : { name, uid, resourceVersion },
    known,
    result: known.end?.result,
  };
}

/** The ends that the schema knows, as label values. */
export const migrationResults: readonly string[] = ["Succeeded", "Failed", "Aborted", "TimedOut", "Superseded"];
