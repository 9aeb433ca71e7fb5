/** Finalizers: an object of ours is not gone before what hangs on it is cleaned up. */

interface Finalized {
  metadata: { finalizers?: string[] | undefined; deletionTimestamp?: string | undefined };
}

/** How the object and its finalizer stand. */
export type FinalizerState =
  /** Go on with the object. */
  | "present"
  /** Write `withFinalizer` first: cleaning up is promised from then on. */
  | "missing"
  /** It is being deleted: clean up, then write `withoutFinalizer`. */
  | "cleanup"
  /** It is being deleted and ours is gone: nothing to do. */
  | "gone";

export function finalizerState(object: Finalized, finalizer: string): FinalizerState {
  const has = object.metadata.finalizers?.includes(finalizer) ?? false;
  if (object.metadata.deletionTimestamp === undefined) return has ? "present" : "missing";
  return has ? "cleanup" : "gone";
}

/** A copy that has it. */
export function withFinalizer<T extends Finalized>(object: T, finalizer: string): T {
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes(finalizer)) return object;
  return { ...object, metadata: { ...object.metadata, finalizers: [...finalizers, finalizer] } };
}

/** A copy that doesn't. */
export function withoutFinalizer<T extends Finalized>(object: T, finalizer: string): T {
  const finalizers = (object.metadata.finalizers ?? []).filter((other) => other !== finalizer);
  return { ...object, metadata: { ...object.metadata, finalizers } };
}

export interface FinalizerSteps<T extends Finalized> {
  finalizer: string;
  /** Compare-and-swap of metadata; returns the object as stored. */
  update(object: T): Promise<T>;
  /** Removes what hangs on the object. Must be repeatable: it runs again if we don't live to take the finalizer away. */
  cleanup(object: T): Promise<void>;
}

/** Does the step that is due. Returns the object to go on with; undefined if it is on its way out and there is nothing to go on with. */
export async function finalize<T extends Finalized>(object: T, steps: FinalizerSteps<T>): Promise<T | undefined> {
  switch (finalizerState(object, steps.finalizer)) {
    case "present":
      return object;
    case "missing":
      return await steps.update(withFinalizer(object, steps.finalizer));
    case "cleanup":
      await steps.cleanup(object);
      await steps.update(withoutFinalizer(object, steps.finalizer));
      return undefined;
    case "gone":
      return undefined;
  }
}
