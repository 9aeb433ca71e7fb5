/** Reading and writing objects of any type. Writes are compare-and-swap wherever Kubernetes has it; `apply.ts` has server-side apply. */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { apiVersionOf, type KubeObject, type ObjectType, pathOf } from "./objects.ts";
import { isExpired } from "./status-error.ts";
import type { KubeTransport, Query } from "./transport.ts";

export interface Selection {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Limit of one attempt. */
  timeoutMs?: number | (() => number);
  attemptsMax?: number;
  /** Called right before the request leaves: a leader's check that it still is one. */
  before?: (() => void) | undefined;
  /** Does not wait in line behind other calls. */
  urgent?: boolean;
}

export interface Place {
  name: string;
  namespace?: string | undefined;
}

export interface DeleteOptions extends CallOptions {
  resourceVersion?: string | undefined;
  uid?: string | undefined;
  propagation?: "Background" | "Foreground" | "Orphan";
}

export interface ListPage<T> {
  items: T[];
  /** The revision that all pages of the list are a snapshot of. */
  resourceVersion: string;
}

export const pageItems = 500;
/** Lists beyond this are refused: the brain doesn't work with more of anything. */
export const listItemsMax = 1_000_000;
const listRestartsMax = 3;

export class KubeClient {
  readonly transport: KubeTransport;

  constructor(transport: KubeTransport) {
    this.transport = transport;
  }

  /** The object, from the API server's storage and no cache. Undefined if there is none; throws `NotFound` when its type isn't served. */
  async get<T extends KubeObject>(type: ObjectType, place: Place, options: CallOptions = {}): Promise<T | undefined> {
    try {
      return received(type, await this.transport.request<T>({ ...options, method: "GET", path: pathOf(type, place) }));
    } catch (error) {
      if (isAppError(error, "NotFound") && error.data["reason"] === "NotFound") return undefined;
      throw error;
    }
  }

  /** All objects that are selected, with the revision of the snapshot. */
  async list<T extends KubeObject>(
    type: ObjectType,
    selection: Selection = {},
    options: CallOptions = {},
  ): Promise<ListPage<T>> {
    for (let restart = 0; ; restart++) {
      try {
        const items: T[] = [];
        let resourceVersion = "";
        for await (const page of this.pages<T>(type, selection, options)) {
          for (const item of page.items) items.push(item);
          resourceVersion = page.resourceVersion;
        }
        return { items, resourceVersion };
      } catch (error) {
        // The snapshot went away between two pages; what was read so far belongs to no other.
        if (!isExpired(error) || restart === listRestartsMax) throw error;
      }
    }
  }

  /** The same page by page, for more than should be in memory at once. Throws an expired error (410) when the snapshot goes away. */
  async *pages<T extends KubeObject>(
    type: ObjectType,
    selection: Selection = {},
    options: CallOptions = {},
  ): AsyncGenerator<ListPage<T>> {
    let next: string | undefined;
    let count = 0;
    do {
      const query: Query = { limit: pageItems, continue: next, ...selectors(selection) };
      const path = pathOf(type, { namespace: selection.namespace });
      const answer = await this.transport.request<RawList<T>>({ ...options, method: "GET", path, query });
      const items = answer.items ?? [];
      count += items.length;
      if (count > listItemsMax) {
        throw new AppError("TooLarge", `${type.kind}: more than ${listItemsMax} objects`, { data: { listItemsMax } });
      }
      next = answer.metadata.continue || undefined;
      yield { items: items.map((item) => received(type, item)), resourceVersion: answer.metadata.resourceVersion };
    } while (next !== undefined);
  }

  /** Throws `AlreadyExists` if the name is taken. */
  async create<T extends KubeObject>(type: ObjectType, object: T, options: CallOptions = {}): Promise<T> {
    const path = pathOf(type, { namespace: object.metadata.namespace });
    return received(
      type,
      await this.transport.request<T>({ ...options, method: "POST", path, body: object, query: strict }),
    );
  }

  /**
   * Replaces what has `metadata.resourceVersion`. Pass the object as it was read, with its uid: without one a PUT of some kinds (leases,
   * roles) makes a new object of one that was deleted. Throws `Conflict` if that is not the current one, `InvalidArgument` if it is missing.
   */
  async replace<T extends KubeObject>(type: ObjectType, object: T, options: CallOptions = {}): Promise<T> {
    return await this.#put(type, object, undefined, options);
  }

  /** As `replace`, for the status alone. */
  async replaceStatus<T extends KubeObject>(type: ObjectType, object: T, options: CallOptions = {}): Promise<T> {
    return await this.#put(type, object, "status", options);
  }

  /** A JSON merge patch (RFC 7386). With `metadata.resourceVersion` in it, compare-and-swap. */
  async mergePatch<T extends KubeObject>(
    type: ObjectType,
    place: Place & { subresource?: string },
    patch: unknown,
    options: CallOptions = {},
  ): Promise<T> {
    const request = { method: "PATCH" as const, path: pathOf(type, place), body: patch, query: strict };
    return received(
      type,
      await this.transport.request<T>({ ...options, ...request, contentType: "application/merge-patch+json" }),
    );
  }

  /** Throws `NotFound` if there is none, `Conflict` if it is not the one with the given uid or resourceVersion. */
  async delete(type: ObjectType, place: Place, options: DeleteOptions = {}): Promise<void> {
    const { resourceVersion, uid, propagation, ...call } = options;
    const preconditions = {
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(uid === undefined ? {} : { uid }),
    };
    const body = {
      apiVersion: "v1",
      kind: "DeleteOptions",
      ...(Object.keys(preconditions).length === 0 ? {} : { preconditions }),
      ...(propagation === undefined ? {} : { propagationPolicy: propagation }),
    };
    await this.transport.request({ ...call, method: "DELETE", path: pathOf(type, place), body });
  }

  async #put<T extends KubeObject>(
    type: ObjectType,
    object: T,
    subresource: string | undefined,
    options: CallOptions,
  ): Promise<T> {
    const { name, namespace, resourceVersion } = object.metadata;
    if (resourceVersion === undefined || resourceVersion === "") {
      throw new AppError(
        "InvalidArgument",
        `${type.kind} ${name}: metadata.resourceVersion: got nothing, it must be that of the object that was read`,
        {
          data: { kind: type.kind, name, field: "metadata.resourceVersion" },
        },
      );
    }
    const path = pathOf(type, { namespace, name, ...(subresource === undefined ? {} : { subresource }) });
    return received(
      type,
      await this.transport.request<T>({ ...options, method: "PUT", path, body: object, query: strict }),
    );
  }
}

/** Fields that the API server doesn't know are refused instead of dropped. */
const strict: Query = { fieldValidation: "Strict" };

interface RawList<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[] | null;
}

/** The query of a selection. */
export function selectors(selection: Selection): Query {
  return { labelSelector: selection.labelSelector, fieldSelector: selection.fieldSelector };
}

/** Items of lists come without their type. Nobody here reads managedFields, and they are large. */
export function received<T extends KubeObject>(type: ObjectType, object: T): T {
  object.apiVersion ??= apiVersionOf(type);
  object.kind ??= type.kind;
  delete (object.metadata as { managedFields?: unknown } | undefined)?.managedFields;
  return object;
}
