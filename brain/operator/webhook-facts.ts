/** What the admission webhook knows of other objects: the caches, which may be a little old. */
import type { AdmissionFacts } from "../webhook/admit.ts";
import type { Caches } from "./caches.ts";

export function admissionFacts(caches: Pick<Caches, "policies" | "codingPolicies" | "ecVolumes">): AdmissionFacts {
  const { policies, codingPolicies, ecVolumes } = caches;
  return {
    erasureCodingPolicyExists: (name) => (codingPolicies.synced ? codingPolicies.get(name) !== undefined : undefined),
    *storagePolicies() {
      for (const { metadata, spec } of policies.values()) yield { name: metadata.name, spec };
    },
    volumesOf: (policy) => {
      let count = 0;
      for (const { policyRef } of ecVolumes.values()) if (policyRef === policy) count += 1;
      return count;
    },
  };
}
