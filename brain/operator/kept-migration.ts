/** What is kept of Migrations: they outlive their policies, so there may be many, and only those under way matter. */
import type { Migration } from "@couchestor/common/crd/migration.ts";
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import type { KubeObject } from "../kube/objects.ts";
import type { EndedMigration } from "../tiering/migration-counts.ts";
import type { ActiveMove } from "../tiering/model.ts";

export interface KeptMigration {
  metadata: { name: string; resourceVersion?: string };
  /** Undefined when it has ended. */
  active: ActiveMove | undefined;
  /** How it ended, and whose it was; undefined while it has not, and for what a person started. */
  ended: EndedMigration | undefined;
  /** How it ended: `Succeeded`, `Failed` …; undefined while it has not. */
  result: string | undefined;
}

/** For an informer of Migrations. */
export function keepMigration(object: KubeObject): KeptMigration {
  const { metadata, spec, status } = object as unknown as Partial<Migration> & KubeObject;
  const { name, resourceVersion } = metadata;
  const ended = status?.phase === "Finished";
  const active: ActiveMove | undefined =
    ended || spec === undefined
      ? undefined
      : {
          policyName: spec.policyRef,
          volumeUuid: spec.volumeUuid,
          toTier: spec.toTier as Tier,
          toPools: [...new Set((spec.replicas ?? []).flatMap(({ toPools }) => toPools.slice(0, 1)))],
        };
  const result = ended ? (status?.outcome?.result ?? "Unknown") : undefined;
  return {
    metadata: resourceVersion === undefined ? { name } : { name, resourceVersion },
    active,
    ended:
      result === undefined || spec?.policyRef === undefined
        ? undefined
        : { policyName: spec.policyRef, policyUid: spec.policyUid, result },
    result,
  };
}

/** The ends that the schema knows, as label values. */
export const migrationResults: readonly string[] = ["Succeeded", "Failed", "Aborted", "TimedOut", "Superseded"];
