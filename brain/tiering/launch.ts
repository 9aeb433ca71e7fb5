/** From a decision to the Migration object that has it carried out. Pure. */
import { createHash } from "node:crypto";
import { type Migration, migrationKind } from "@couchestor/common/crd/migration.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { type KnownMigration, policyGenerationAnnotation } from "./known-migrations.ts";
import type { PlanEntry } from "./model.ts";
import { iopsText } from "./watermarks.ts";

const toPoolsMax = 64;
const reasonMax = 1024;
const nameMax = 200;

export interface LaunchOptions {
  /** What holds where the policy says nothing, such as `30m`. */
  timeout: string;
  preservationMode: boolean;
  /** Those of the volume that there are. */
  earlier: readonly KnownMigration[];
}

/**
 * The Migration of a decision to move. Its name follows from the decision and from the volume's latest migration, so that looking twice, or
 * two brains, make one. Undefined for what is no such decision.
 */
export function migrationOf(entry: PlanEntry, policy: StoragePolicy, options: LaunchOptions): Migration | undefined {
  const { volume, target, tier, heat, moves, message } = entry;
  const replicas = volume.replicas ?? [];
  if (target === undefined || heat.kind !== "score" || moves.length === 0) return undefined;
  const { metadata, spec } = policy;
  const byReplica = new Map(moves.map((move) => [move.replicaUuid, move]));
  const generation =
    metadata.generation === undefined ? {} : { [policyGenerationAnnotation]: `${metadata.generation}` };
  return {
    apiVersion,
    kind: migrationKind.kind,
    metadata: { name: nameOf(entry, policy, options.earlier), annotations: generation },
    spec: {
      volumeName: volume.name,
      volumeUuid: volume.uuid,
      policyRef: metadata.name,
      ...(metadata.uid === undefined ? {} : { policyUid: metadata.uid }),
      mover: "Mayastor",
      fromTier: tier === "none" || tier === "unknown" ? "mixed" : tier,
      toTier: target,
      originalReplicaCount: replicas.length,
      finalReplicaCount: entry.finalReplicaCount ?? replicas.length,
      replicas: [...byReplica.values()].map(({ replicaUuid, fromPool, fromNode, toPool }) => ({
        replicaUuid,
        fromPool,
        ...(fromNode === "" ? {} : { fromNode }),
        toPools: [...new Set([toPool, ...entry.targetPools])].slice(0, toPoolsMax),
      })),
      ...(spec.ecPolicyRef !== undefined && target === "cold" ? { ecPolicyRef: spec.ecPolicyRef } : {}),
      sizeBytes: volume.sizeBytes,
      triggerIOPS: Number(iopsText(heat.iops)),
      reason: message.slice(0, reasonMax),
      timeout: spec.migrationTimeout ?? options.timeout,
      preservationMode: options.preservationMode,
      abort: false,
    },
  };
}

function nameOf(
  { volume, target }: PlanEntry,
  { metadata }: StoragePolicy,
  earlier: readonly KnownMigration[],
): string {
  const latest = earlier.reduce<KnownMigration | undefined>(
    (best, one) => (isLater(one, best) ? one : best),
    undefined,
  );
  const decision = [metadata.uid ?? metadata.name, volume.uuid, target, latest?.name ?? "", latest?.createdMs ?? 0];
  const hash = createHash("sha256").update(JSON.stringify(decision)).digest("hex").slice(0, 10);
  return `${volume.name.slice(0, nameMax)}-${target}-${hash}`;
}

function isLater(one: KnownMigration, best: KnownMigration | undefined): boolean {
  if (best === undefined) return true;
  return one.createdMs === best.createdMs ? one.name > best.name : one.createdMs > best.createdMs;
}
