/** Writes the status of a policy when something in it has changed. */
import { type StoragePolicy, storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { ResourceStore } from "../store/ports.ts";
import { type Outlook, policyStatusOf } from "./policy-status.ts";

const attemptsMax = 10;

/**
 * Writes a status if it has changed; says whether it did. Somebody who annotates the policy all the time must not keep it from its status:
 * after a conflict the policy is read anew, and gets it unless its spec is another.
 */
export async function writePolicyStatus(
  store: Pick<ResourceStore, "get" | "updateStatus">,
  resource: StoragePolicy,
  outlook: Outlook,
  now: string,
): Promise<boolean> {
  let current = resource;
  for (let attempt = 1; ; attempt++) {
    const status = policyStatusOf(current, outlook, now);
    if (status === undefined) return false;
    try {
      await store.updateStatus(storagePolicyKind, { ...current, status });
      return true;
    } catch (error) {
      if (!isAppError(error, "Conflict") || attempt === attemptsMax) throw error;
      const fresh = await store.get(storagePolicyKind, resource.metadata.name);
      if (fresh === undefined) return false;
      if (fresh.metadata.uid !== resource.metadata.uid || fresh.metadata.generation !== resource.metadata.generation)
        throw error;
      current = fresh;
    }
  }
}
