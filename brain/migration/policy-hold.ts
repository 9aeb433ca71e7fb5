/** Whether the policy that decided a migration wants none of it now, before anything has been done for it. */
import type { MigrationOutcome } from "@couchestor/common/crd/migration.ts";
import { type StoragePolicy, storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import { isUntouched, type Journal } from "./journal.ts";
import type { MigrationDeps } from "./ports.ts";

/** Of outcomes: nothing is wrong with the volume, and the policy may decide anew as soon as it may begin anything. */
export const policyHoldReasons: ReadonlySet<string> = new Set([
  "PolicyDeleted",
  "PolicyDisabled",
  "PolicyDryRun",
  "PolicyInvalid",
  "Paused",
  "OutsideWindow",
]);

/**
 * The end of one that has not begun and whose policy is gone, is switched off, or may begin nothing now; undefined if nothing holds it back. It
 * ends and doesn't wait, or it would keep a turn from the volumes of other policies; the policy decides anew. Throws what the store throws.
 */
export async function policyHold(
  { store, whyNotBegin }: Pick<MigrationDeps, "whyNotBegin"> & { store: Pick<MigrationDeps["store"], "get"> },
  { spec, status, deleting }: Journal,
): Promise<MigrationOutcome | undefined> {
  const { policyRef, policyUid, abort } = spec;
  if (policyRef === undefined || abort || deleting || status.ending !== undefined || !isUntouched(status))
    return undefined;
  const policy = (await store.get(storagePolicyKind, policyRef)) as StoragePolicy | undefined;
  const end = (reason: string, how: string): MigrationOutcome => ({
    result: "Superseded",
    reason,
    message: `StoragePolicy ${policyRef} ${how}; nothing had been begun`,
  });
  // Another one of that name has no say. What a person made may name a policy that never was.
  const isGone = policy === undefined || policy.metadata.uid !== policyUid;
  if (policyUid !== undefined && (isGone || policy.metadata.deletionTimestamp !== undefined))
    return end("PolicyDeleted", "was deleted");
  if (policy === undefined) return undefined;
  const anew = "when that is changed, it decides anew";
  if (!policy.spec.enabled) return end("PolicyDisabled", `is not enabled: ${anew}`);
  if (policy.spec.dryRun) return end("PolicyDryRun", `only shows what it would do (dryRun): ${anew}`);
  const hold = whyNotBegin?.(policy);
  return hold === undefined
    ? undefined
    : end(hold.reason, `begins nothing now, and then decides anew: ${hold.message}`);
}
