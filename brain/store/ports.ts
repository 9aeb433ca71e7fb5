/**
 * The resource store: named objects with compare-and-swap and watch. Adapters: SQLite here, the Kubernetes API and etcd later; the port is
 * no wider than etcd can carry. All writes are compare-and-swap on `metadata.resourceVersion`; a loser gets `Conflict` and reads again.
 */
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";
import type { AppError } from "@couchestor/common/errors/app-error.ts";

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

/** Told of an object that can't be read, and why. */
export type Unreadable = (name: string, error: AppError) => void;

/** Values that fields of `spec` must have; only fields that the kind names as `selectable`. */
export type Fields = Readonly<Record<string, string>>;

export interface PageOptions {
  namePrefix?: string;
  fields?: Fields;
  unreadable?: Unreadable;
}

export interface ResourceStore {
  /** The current object, never from a cache. `undefined` if there is none. */
  get<S, T>(kind: ResourceKind<S, T>, name: string): Promise<Resource<S, T> | undefined>;
  /** All objects of a kind whose names begin with `namePrefix` and that have those `fields`, in order of name. */
  list<S, T>(kind: ResourceKind<S, T>, namePrefix?: string, fields?: Fields): Promise<ListResult<Resource<S, T>>>;
  /**
   * The same page by page, for more than should be in memory at once. Each object comes at most once, as it was at the page's `revision` or
   * later; a watch from the first page's revision tells what has changed since. Throws `Conflict` when the store can't go on: begin anew.
   * With `unreadable`, an object that another wrote and that can't be read here is told and left out, and is no error.
   */
  pages<S, T>(kind: ResourceKind<S, T>, options?: PageOptions): AsyncIterable<ListResult<Resource<S, T>>>;
  /** `AlreadyExists` if the name is taken. Status, if given, is stored too. Durable on return. */
  create<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>>;
  /** Replaces metadata (labels, annotations, finalizers) and spec; `Conflict` unless resourceVersion is the current one. Leaves status alone. */
  update<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>>;
  /** Replaces status alone; `Conflict` unless resourceVersion is the current one. */
  updateStatus<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>>;
  /** Removes the object (with finalizers: sets deletionTimestamp; it goes when the last finalizer does). `NotFound` if there is none. */
  delete<S, T>(kind: ResourceKind<S, T>, name: string, resourceVersion?: string): Promise<void>;
  /**
   * Changes behind `fromRevision`, in order, each once; `unreadable` as with pages. Ends with `AppError("Conflict")` when that revision is no longer kept: list again
   * (Kubernetes says 410). Ends quietly when `signal` aborts.
   */
  watch<S, T>(
    kind: ResourceKind<S, T>,
    fromRevision: string,
    signal: AbortSignal,
    unreadable?: Unreadable,
  ): AsyncIterable<WatchEvent<Resource<S, T>>>;
  close(): Promise<void>;
}
