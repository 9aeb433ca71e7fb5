/**
 * A copy of all objects of a type, kept up to date, with indexes. It lists once, then follows changes; after an expired revision it lists
 * again and tells the differences. While the API server is away the copy stays as it was, and `staleMs` says for how long.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import type { Selection } from "./client.ts";
import { IndexedMap, type IndexFunction } from "./index-map.ts";
import { type KubeObject, keyOf, type ObjectType } from "./objects.ts";
import { isExpired } from "./status-error.ts";
import { followChanges, type WatchDeps, type WatchLimits } from "./watch.ts";

export interface InformerDeps extends WatchDeps {
  logger: Logger;
}

export interface InformerOptions<T extends KubeObject, Kept> extends Selection {
  type: ObjectType;
  /** What is kept of an object: less is less memory. Its metadata's name, namespace and resourceVersion must stay. */
  keep: (object: T) => Kept;
  indexes?: Record<string, IndexFunction<Kept>>;
  /** All objects are told again this often, for what was missed elsewhere. 0: never. */
  resyncMs?: number;
  /** More objects than this are an error and not memory. */
  objectsMax?: number;
  watchLimits?: Partial<WatchLimits>;
}

/** Called while the copy already is as the change left it. Must not throw, nor wait. */
export interface InformerHandler<Kept> {
  added?(object: Kept): void;
  /** On a resync `before` and `object` are the same. */
  updated?(object: Kept, before: Kept): void;
  deleted?(object: Kept): void;
}

interface KeptObject {
  metadata: { name: string; namespace?: string; resourceVersion?: string };
}

export const objectsMaxDefault = 500_000;
const pauseMsMax = 15_000;
const wellMs = 30_000;

export class Informer<T extends KubeObject, Kept extends KeptObject = T> {
  readonly #deps: InformerDeps;
  readonly #options: InformerOptions<T, Kept>;
  readonly #objects: IndexedMap<Kept>;
  readonly #handlers: InformerHandler<Kept>[] = [];
  readonly #firstList = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #synced = false;
  #connected = false;
  #lastHeardMs: number | undefined;

  constructor(deps: InformerDeps, options: InformerOptions<T, Kept>) {
    this.#deps = deps;
    this.#options = options;
    this.#objects = new IndexedMap(options.indexes);
  }

  /** Whether a whole list has been read. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Resolves when a whole list has been read. */
  get whenSynced(): Promise<void> {
    return this.#firstList.promise;
  }

  /** For how long nothing was heard from the API server while there was no connection: 0 while there is one, undefined before the first list. */
  get staleMs(): number | undefined {
    if (this.#lastHeardMs === undefined) return undefined;
    return this.#connected ? 0 : this.#deps.clock.monotonicMs() - this.#lastHeardMs;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** By `name` or `namespace/name`. Nobody may change what is returned: it is the copy itself. */
  get(key: string): Kept | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<Kept> {
    return this.#objects.values();
  }

  byIndex(name: string, value: string): Kept[] {
    return this.#objects.byIndex(name, value);
  }

  /** Adds a handler; it is told of all that is there already. */
  addHandler(handler: InformerHandler<Kept>): void {
    this.#handlers.push(handler);
    for (const object of this.#objects.values()) handler.added?.(object);
  }

  start(): void {
    this.#running ??= Promise.all([this.#run(), this.#resync()]).then(() => undefined);
  }

  /** Ends the connection; the copy stays as it is. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, prng, logger } = this.#deps;
    const { signal } = this.#stop;
    let failures = 0;
    let followedFromMs: number | undefined;
    while (!signal.aborted) {
      try {
        const from = await this.#list();
        followedFromMs = clock.monotonicMs();
        await this.#follow(from);
      } catch (error) {
        if (signal.aborted) return;
        this.#connected = false;
        // Lists are dear: only one that was followed for a while shows that things are well.
        if (followedFromMs !== undefined && clock.monotonicMs() - followedFromMs > wellMs) failures = 0;
        followedFromMs = undefined;
        if (isExpired(error)) {
          logger.debug({ kind: this.#options.type.kind }, "the watch's revision has expired; listing again");
        } else {
          logger.warn({ kind: this.#options.type.kind, err: error, failures }, "can't follow objects; trying again");
        }
        failures += 1;
      }
      const grownMs = Math.min(pauseMsMax, 100 * 2 ** Math.min(failures, 16));
      await clock.sleep(grownMs * (0.5 + prng.float() / 2), signal).catch(() => undefined);
    }
  }

  async #list(): Promise<string> {
    const { type } = this.#options;
    const seen = new Set<string>();
    let resourceVersion = "";
    // The new state goes in page by page; what is gone is known at the end. A list that breaks off has taken nothing out.
    for await (const page of this.#deps.client.pages<T>(type, this.#options, { signal: this.#stop.signal })) {
      for (const item of page.items) {
        seen.add(keyOf(item));
        this.#put(item);
      }
      resourceVersion = page.resourceVersion;
      this.#heard();
    }
    for (const key of [...this.#objects.keys()]) if (!seen.has(key)) this.#remove(key);
    this.#synced = true;
    this.#firstList.resolve();
    return resourceVersion;
  }

  async #follow(resourceVersion: string): Promise<void> {
    const { type, namespace, labelSelector, fieldSelector, watchLimits } = this.#options;
    const changes = followChanges<T>(this.#deps, type, {
      namespace,
      labelSelector,
      fieldSelector,
      resourceVersion,
      signal: this.#stop.signal,
      ...(watchLimits === undefined ? {} : { limits: watchLimits }),
      onConnection: (up, why) => {
        this.#connected = up;
        if (up) this.#heard();
        else if (why !== undefined) this.#deps.logger.debug({ kind: type.kind, err: why }, "the watch ended");
      },
    });
    for await (const change of changes) {
      this.#heard();
      if (change.type === "deleted") this.#remove(keyOf(change.object), change.object);
      else if (change.type !== "bookmark") this.#put(change.object);
    }
  }

  #heard(): void {
    this.#lastHeardMs = this.#deps.clock.monotonicMs();
  }

  #put(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (
      before?.metadata.resourceVersion !== undefined &&
      before.metadata.resourceVersion === object.metadata.resourceVersion
    )
      return;
    const max = this.#options.objectsMax ?? objectsMaxDefault;
    if (before === undefined && this.#objects.size >= max) {
      throw new AppError(
        "TooLarge",
        `${this.#options.type.kind}: more than ${max} objects; they are not all kept in memory`,
        {
          data: { kind: this.#options.type.kind, objectsMax: max },
        },
      );
    }
    const kept = this.#options.keep(object);
    this.#objects.set(key, kept);
    for (const handler of this.#handlers) {
      if (before === undefined) handler.added?.(kept);
      else handler.updated?.(kept, before);
    }
  }

  #remove(key: string, last?: T): void {
    const before = this.#objects.delete(key);
    if (before === undefined) return;
    const gone = last === undefined ? before : this.#options.keep(last);
    for (const handler of this.#handlers) handler.deleted?.(gone);
  }

  async #resync(): Promise<void> {
    const { resyncMs = 0 } = this.#options;
    const { signal } = this.#stop;
    if (resyncMs <= 0) return;
    while (!signal.aborted) {
      await this.#deps.clock.sleep(resyncMs * (0.9 + this.#deps.prng.float() / 5), signal).catch(() => undefined);
      if (signal.aborted || !this.#synced) continue;
      for (const object of [...this.#objects.values()])
        for (const handler of this.#handlers) handler.updated?.(object, object);
    }
  }
}
