/**
 * The resource store on the Kubernetes API: compare-and-swap by PUT with resourceVersion, status by its subresource. The API server has no
 * list by name prefix, so a list by it alone reads the whole kind page by page and keeps what fits; by fields the API server itself selects.
 * Of a write whose answer is lost nobody knows whether it happened: it throws `Timeout` or `Unavailable`, and the caller reads again.
 */
import {
  apiGroup,
  apiVersion,
  type Metadata,
  metadataSchema,
  type Resource,
  type ResourceKind,
} from "@couchestor/common/crd/object.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { checkedTexts } from "../store/object-rules.ts";
import type { Fields, ListResult, PageOptions, ResourceStore, Unreadable, WatchEvent } from "../store/ports.ts";
import { fieldsFilter } from "../store/selection.ts";
import type { CallOptions, KubeClient, ListPage } from "./client.ts";
import { fieldSelectorOf, isNotSelectable } from "./field-selector.ts";
import type { KubeObject, ObjectType } from "./objects.ts";
import { isExpired } from "./status-error.ts";
import { transportLimits } from "./transport.ts";
import { followChanges, type WatchDeps, type WatchLimits } from "./watch.ts";

/** What must hold for a write to leave, and how long it may take: a leader's `Leadership`. */
export interface WriteGuard {
  assertLeader(): void;
  remainingMs(): number;
}

export interface KubeStoreDeps extends WatchDeps {
  /** Asked right before each write leaves. Without one nobody has to be the leader. */
  guard?: WriteGuard;
  watchLimits?: Partial<WatchLimits>;
}

/** A kind of ours as the API server serves it. */
export function objectTypeOf(kind: ResourceKind): ObjectType {
  return {
    group: apiGroup,
    version: apiVersion.slice(apiGroup.length + 1),
    kind: kind.kind,
    plural: kind.plural,
    namespaced: false,
  };
}

const listRestartsMax = 3;

export class KubeStore implements ResourceStore {
  readonly #deps: KubeStoreDeps;
  readonly #client: KubeClient;
  readonly #closed = new AbortController();

  constructor(deps: KubeStoreDeps) {
    this.#deps = deps;
    this.#client = deps.client;
  }

  async get<S, T>(kind: ResourceKind<S, T>, name: string): Promise<Resource<S, T> | undefined> {
    const object = await this.#client.get<Stored>(objectTypeOf(kind), { name }, this.#reading());
    return object && resourceOf(kind, object);
  }

  async list<S, T>(
    kind: ResourceKind<S, T>,
    namePrefix = "",
    fields: Fields = {},
  ): Promise<ListResult<Resource<S, T>>> {
    for (let restart = 0; ; restart++) {
      try {
        const items: Resource<S, T>[] = [];
        let revision = "";
        for await (const page of this.pages(kind, { namePrefix, fields })) {
          for (const item of page.items) items.push(item);
          revision = page.revision;
        }
        return { items: items.sort(byName), revision };
      } catch (error) {
        if (!isExpired(error) || restart === listRestartsMax) throw error;
      }
    }
  }

  /** All pages are one snapshot of the API server. */
  async *pages<S, T>(
    kind: ResourceKind<S, T>,
    { namePrefix = "", fields = {}, unreadable }: PageOptions = {},
  ): AsyncGenerator<ListResult<Resource<S, T>>> {
    const fits = fieldsFilter(kind, fields);
    for await (const page of this.#selectedPages(kind, fields)) {
      const named = page.items.filter((item) => item.metadata.name.startsWith(namePrefix) && fits(item));
      yield { items: named.flatMap((item) => readOr(unreadable, kind, item) ?? []), revision: page.resourceVersion };
    }
  }

  /** At least what has those fields: an older definition doesn't let the API server select, and all are read. */
  async *#selectedPages(kind: ResourceKind, fields: Fields): AsyncGenerator<ListPage<Stored>> {
    const selection = fieldSelectorOf(fields);
    let begun = false;
    try {
      for await (const page of this.#client.pages<Stored>(objectTypeOf(kind), selection, this.#reading())) {
        begun = true;
        yield page;
      }
      return;
    } catch (error) {
      if (begun || !isNotSelectable(error)) throw error;
    }
    yield* this.#client.pages<Stored>(objectTypeOf(kind), {}, this.#reading());
  }

  /** The API takes a status only in a second write: between the two the object is there without one. */
  async create<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const { meta, spec, status } = checkedTexts(kind, object);
    if (meta.resourceVersion !== undefined) {
      throw invalid(kind.kind, "metadata.resourceVersion", "must not be set on an object to be created");
    }
    const { uid: _, generation: __, creationTimestamp: ___, deletionTimestamp: ____, ...metadata } = meta;
    const body = stored(kind, metadata, spec);
    const created = resourceOf(kind, await this.#client.create(objectTypeOf(kind), body, this.#writing()));
    return status === null ? created : await this.#addStatus(kind, created, JSON.parse(status) as T);
  }

  async update<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const { status: _, ...withoutStatus } = object;
    const { meta, spec } = checkedTexts<S, T>(kind, withoutStatus);
    // What only the API server sets it fills in again; it refuses another value, where this port ignores it.
    const { generation: __, creationTimestamp: ___, deletionTimestamp: ____, ...metadata } = meta;
    const body = stored(kind, metadata, spec);
    return resourceOf(kind, await this.#client.replace(objectTypeOf(kind), body, this.#writing()));
  }

  async updateStatus<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const { meta, spec, status } = checkedTexts(kind, object);
    if (status === null) throw invalid(kind.kind, "status", "is missing");
    const { name, uid, resourceVersion } = meta;
    const metadata = {
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    };
    const body = { ...stored(kind, metadata, spec), status: JSON.parse(status) as unknown };
    return resourceOf(kind, await this.#client.replaceStatus(objectTypeOf(kind), body, this.#writing()));
  }

  async delete<S, T>(kind: ResourceKind<S, T>, name: string, resourceVersion?: string): Promise<void> {
    await this.#client.delete(objectTypeOf(kind), { name }, { ...this.#writing(), resourceVersion });
  }

  async *watch<S, T>(
    kind: ResourceKind<S, T>,
    fromRevision: string,
    signal: AbortSignal,
    unreadable?: Unreadable,
  ): AsyncGenerator<WatchEvent<Resource<S, T>>> {
    const { watchLimits } = this.#deps;
    const changes = followChanges<Stored>(this.#deps, objectTypeOf(kind), {
      resourceVersion: fromRevision,
      signal: AbortSignal.any([signal, this.#closed.signal]),
      ...(watchLimits === undefined ? {} : { limits: watchLimits }),
    });
    for await (const { type, object, resourceVersion } of changes) {
      const resource = type === "bookmark" ? undefined : readOr(unreadable, kind, object);
      if (type !== "bookmark" && resource !== undefined) yield { type, object: resource, revision: resourceVersion };
      if (signal.aborted) return;
    }
    if (!signal.aborted) throw new AppError("Unavailable", "the resource store is closed", { retryable: false });
  }

  /** Ends all watches and calls. */
  async close(): Promise<void> {
    this.#closed.abort();
  }

  async #addStatus<S, T>(kind: ResourceKind<S, T>, created: Resource<S, T>, status: T): Promise<Resource<S, T>> {
    let object = created;
    for (;;) {
      try {
        return await this.updateStatus(kind, { ...object, status });
      } catch (error) {
        if (!isAppError(error, "Conflict")) throw error;
      }
      // Somebody was faster: a status of theirs is newer than the one of a creation, and whatever else they changed stays.
      const current = await this.get(kind, object.metadata.name);
      if (current === undefined || current.metadata.uid !== object.metadata.uid || current.status !== undefined)
        return current ?? created;
      object = current;
    }
  }

  #reading(): CallOptions {
    return { signal: this.#closed.signal };
  }

  #writing(): CallOptions {
    const { guard } = this.#deps;
    if (guard === undefined) return { signal: this.#closed.signal };
    // Nothing of ours is under way when another may begin.
    const timeoutMs = () => Math.max(1, Math.min(transportLimits.timeoutMs, guard.remainingMs()));
    return { signal: this.#closed.signal, before: () => guard.assertLeader(), timeoutMs };
  }
}

interface Stored extends KubeObject {
  spec?: unknown;
  status?: unknown;
}

function stored(kind: ResourceKind, metadata: Metadata, spec: string): Stored {
  return { apiVersion, kind: kind.kind, metadata: metadata as Stored["metadata"], spec: JSON.parse(spec) as unknown };
}

/** The object, checked by its kind's schemas. Throws `Internal` that names the field: somebody else wrote it, or a newer version did. */
function resourceOf<S, T>(kind: ResourceKind<S, T>, object: Stored): Resource<S, T> {
  const name = object.metadata.name;
  const metadata = readable(kind.kind, name, "metadata", metadataSchema.safeParse(object.metadata));
  const spec = readable(kind.kind, name, "spec", kind.spec.safeParse(object.spec));
  const resource: Resource<S, T> = { apiVersion, kind: kind.kind, metadata, spec };
  if (object.status !== undefined)
    resource.status = readable(kind.kind, name, "status", kind.status.safeParse(object.status));
  return resource;
}

/** With `unreadable` it is told of what can't be read, and undefined returned. */
function readOr<S, T>(
  unreadable: Unreadable | undefined,
  kind: ResourceKind<S, T>,
  object: Stored,
): Resource<S, T> | undefined {
  try {
    return resourceOf(kind, object);
  } catch (error) {
    if (unreadable === undefined || !isAppError(error)) throw error;
    unreadable(object.metadata.name, error);
    return undefined;
  }
}

interface Parsed<V> {
  success: boolean;
  data?: V;
  error?: { issues: { path: PropertyKey[]; message: string }[] };
}

function readable<V>(kind: string, name: string, root: string, parsed: Parsed<V>): V {
  if (parsed.success) return parsed.data as V;
  const issue = parsed.error?.issues[0];
  const field = [root, ...(issue?.path ?? []).map(String)].join(".");
  throw new AppError(
    "Internal",
    `${kind} ${name}: ${field}: ${issue?.message}. It was written by hand or by another version; correct it there, or run the version that wrote it`,
    { data: { kind, name, field } },
  );
}

function byName(a: Resource, b: Resource): number {
  return a.metadata.name < b.metadata.name ? -1 : a.metadata.name > b.metadata.name ? 1 : 0;
}

function invalid(kind: string, field: string, why: string): AppError {
  return new AppError("InvalidArgument", `${kind}: ${field}: ${why}`, { data: { kind, field } });
}
