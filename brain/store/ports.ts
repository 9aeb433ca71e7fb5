/**
 * The resource store: named objects with compare-and-swap and watch. Adapters: SQLite here, the Kubernetes API and etcd later; the port is
 * no wider than etcd can carry. All writes are compare-and-swap on `metadata.resourceVersion`; a loser gets `Conflict` and reads again.
 */
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";

export interface WatchEvent<T extends Resource = Resource> {
  type: "added" | "modified" | "deleted";
  object: T;
  /** The store's revision of this change; pass to `watch` to go on behind it. */
  revision: string;
}

export interface ListResult<T extends Resource> {
  items: T[];
  /** The revision the list is a snapshot of. */
  revision: string;
}

export interface ResourceStore {
  /** The current object, never from a cache. `undefined` if there is none. */
  get<S, T>(kind: ResourceKind<S, T>, name: string): Promise<Resource<S, T> | undefined>;
  /** All objects of a kind whose names begin with `namePrefix`, in order of name. */
  list<S, T>(kind: ResourceKind<S, T>, namePrefix?: string): Promise<ListResult<Resource<S, T>>>;
  /** `AlreadyExists` if the name is taken. Status, if given, is stored too. Durable on return. */
  create<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>>;
  /** Replaces metadata (labels, annotations, finalizers) and spec; `Conflict` unless resourceVersion is the current one. Leaves status alone. */
  update<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>>;
  /** Replaces status alone; `Conflict` unless resourceVersion is the current one. */
  updateStatus<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>>;
  /** Removes the object (with finalizers: sets deletionTimestamp; it goes when the last finalizer does). `NotFound` if there is none. */
  delete<S, T>(kind: ResourceKind<S, T>, name: string, resourceVersion?: string): Promise<void>;
  /**
   * Changes behind `fromRevision`, in order, each once. Ends with `AppError("Conflict")` when that revision is no longer kept: list again
   * (Kubernetes says 410). Ends quietly when `signal` aborts.
   */
  watch<S, T>(
    kind: ResourceKind<S, T>,
    fromRevision: string,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<Resource<S, T>>>;
  close(): Promise<void>;
}
