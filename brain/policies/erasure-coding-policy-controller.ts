/**
 * Keeps the status of ErasureCodingPolicies. It looks at a policy and at the tally, and writes only what has changed: at once what people
 * wait for, and counts at most once in `countsEveryMs` for a policy, however many stripes change.
 */
import { type ErasureCodingPolicy, erasureCodingPolicyKind } from "@couchestor/common/crd/erasure-coding-policy.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import {
  Controller,
  type ControllerDeps,
  type ControllerOptions,
  type Reconcile,
  type Source,
} from "../runtime/controller.ts";
import type { ResourceStore } from "../store/ports.ts";
import { erasureCodingPolicyStatus } from "./erasure-coding-policy-status.ts";
import type { StripeTally, TalliedStripe, TalliedVolume } from "./stripe-tally.ts";

/** The policies as last seen; an informer is one. */
export interface PolicySource extends Source<ErasureCodingPolicy> {
  get(name: string): ErasureCodingPolicy | undefined;
}

export interface ErasureCodingPolicyDeps {
  store: ResourceStore;
  policies: PolicySource;
  tally: StripeTally;
  clock: Clock;
  countsEveryMs?: number;
}

export const countsEveryMsDefault = 10_000;
const gatherMs = 200;

/** One look at a policy. The key is its name. */
export function erasureCodingPolicyReconcile(deps: ErasureCodingPolicyDeps): Reconcile {
  const { store, policies, tally, clock, countsEveryMs = countsEveryMsDefault } = deps;
  const writtenAtMs = new Map<string, number>();
  return async (name) => {
    const policy = policies.get(name);
    if (policy === undefined || policy.metadata.deletionTimestamp !== undefined) {
      writtenAtMs.delete(name);
      return undefined;
    }
    const change = erasureCodingPolicyStatus(policy, tally.countsOf(name), isoNow(clock));
    if (change === undefined) return undefined;
    const nowMs = clock.monotonicMs();
    const waitMs = (writtenAtMs.get(name) ?? Number.NEGATIVE_INFINITY) + countsEveryMs - nowMs;
    if (change.urgency === "soon" && waitMs > 0) return { requeueAfterMs: waitMs };
    await store.updateStatus(erasureCodingPolicyKind, { ...policy, status: change.status });
    writtenAtMs.set(name, nowMs);
    return undefined;
  };
}

export interface ErasureCodingPolicyParts extends ErasureCodingPolicyDeps {
  volumes: Source<TalliedVolume>;
  stripes: Source<TalliedStripe>;
}

/** The controller over its three sources. It begins to work when all of them are complete. */
export function erasureCodingPolicyController(
  deps: ControllerDeps,
  parts: ErasureCodingPolicyParts,
  options: Partial<ControllerOptions> = {},
): Controller {
  const { tally, policies, volumes, stripes } = parts;
  const controller = new Controller(deps, {
    name: "erasure-coding-policy",
    ...options,
    reconcile: erasureCodingPolicyReconcile(parts),
  });
  const tallied = <T extends { metadata: { name: string } }>(
    source: Source<T>,
    set: (object: T) => void,
    remove: (name: string) => void,
  ): void => source.addHandler({ added: set, updated: set, deleted: (object) => remove(object.metadata.name) });
  tallied(
    volumes,
    (volume) => tally.setVolume(volume),
    (name) => tally.removeVolume(name),
  );
  tallied(
    stripes,
    (stripe) => tally.setStripe(stripe),
    (name) => tally.removeStripe(name),
  );
  // One look for all that changes within this time.
  tally.onChange((policy) => controller.enqueue(policy, gatherMs));
  return controller
    .watch(policies, (policy) => [policy.metadata.name])
    .watch(volumes, (volume) => (volume.policyRef === undefined ? [] : [volume.policyRef]))
    .watch(stripes, () => []);
}
