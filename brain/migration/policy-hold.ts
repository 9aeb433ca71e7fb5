/** Whether the policy that decided a migration wants none of it any more, before anything has been done for it. */
import type { MigrationOutcome } from "@couchestor/common/crd/migration.ts";
import { storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import type { ResourceStore } from "../store/ports.ts";
import type { Journal } from "./journal.ts";

/**
 * The end of one that has not begun and whose policy is switched off or only shows what it would do; undefined if nothing holds it back. It
 * ends and doesn't wait, or it would keep a turn from the volumes of other policies; the policy decides anew. Throws what the store throws.
 */
export async function policyHold(
  store: Pick<ResourceStore, "get">,
  { spec, status, deleting }: Journal,
): Promise<MigrationOutcome | undefined> {
  const { policyRef, policyUid, abort } = spec;
  if (status.phase !== "Pending" || policyRef === undefined || abort || deleting) return undefined;
  const policy = await store.get(storagePolicyKind, policyRef);
  // Another one of that name has no say.
  if (policy === undefined || (policyUid !== undefined && policy.metadata.uid !== policyUid)) return undefined;
  const end = (reason: string, how: string): MigrationOutcome => ({
    result: "Superseded",
    reason,
    message: `StoragePolicy ${policyRef} ${how}, and nothing had been begun; when that is changed, it decides anew`,
  });
  if (!policy.spec.enabled) return end("PolicyDisabled", "is not enabled");
  return policy.spec.dryRun ? end("PolicyDryRun", "only shows what it would do (dryRun)") : undefined;
}
