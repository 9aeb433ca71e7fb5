/**
 * One kind's objects, kept in view: read page by page, each page gone before the next comes, then followed by watch. When the store no longer
 * keeps what the watch goes on from, everything is read again. Whatever is decided on what is in view is decided again on a fresh read.
 */
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";
import { type AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Log } from "../ports.ts";
import type { ResourceStore } from "../store/ports.ts";

/** What takes the objects in. Nothing of it may throw or wait. */
export interface View<S, T> {
  /** An object as it is in a list or behind a change; possibly one that is known already, or older than what is known. */
  put(object: Resource<S, T>, storeWentBack: boolean): void;
  /** The highest revision that is known. */
  newest(): number;
  /** An object that was removed, as it was last. */
  gone(object: Resource<S, T>): void;
  /** A whole list was read again, as of `revision`: what is known, is not of those names and not newer than the list is gone. */
  listedAgain(names: ReadonlySet<string>, revision: number): void;
  /** An object that can't be read: nothing is known of it any more. */
  unreadable(name: string, error: AppError): void;
}

export interface FollowerDeps {
  store: Pick<ResourceStore, "pages" | "watch">;
  clock: Clock;
  log: Log;
}

const listAttemptsMax = 5;
const pauseMsMin = 500;
const pauseMsMax = 30_000;

export class Follower<S, T> {
  readonly #deps: FollowerDeps;
  readonly #kind: ResourceKind<S, T>;
  readonly #view: View<S, T>;
  readonly #stop = new AbortController();
  #revision: string | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: FollowerDeps, kind: ResourceKind<S, T>, view: View<S, T>) {
    this.#deps = deps;
    this.#kind = kind;
    this.#view = view;
  }

  /** Reads everything once. Throws when the store does not answer. */
  async load(): Promise<void> {
    await this.#list(() => undefined);
  }

  /** Follows from where `load` ended. */
  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Tells `seen` every name. A list that the store can't go on with is begun anew. */
  async #list(seen: (name: string) => void): Promise<void> {
    const { newest } = this.#view;
    const unreadable = (name: string, error: AppError) => {
      seen(name);
      this.#view.unreadable(name, error);
    };
    for (let attempt = 1; ; attempt++) {
      try {
        // A store that was put back to an older state tells revisions below those that were seen, and is right all the same.
        const known = newest();
        let from: string | undefined;
        for await (const { items, revision } of this.#deps.store.pages(this.#kind, { unreadable })) {
          from ??= revision;
          for (const item of items) {
            seen(item.metadata.name);
            this.#view.put(item, Number(revision) < known);
          }
        }
        this.#revision = from;
        return;
      } catch (error) {
        if (!isAppError(error, "Conflict") || attempt === listAttemptsMax) throw error;
      }
    }
  }

  async #listAgain(): Promise<void> {
    const names = new Set<string>();
    await this.#list((name) => void names.add(name));
    this.#view.listedAgain(names, Number(this.#revision));
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (this.#revision === undefined) await this.#listAgain();
        await this.#follow(() => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        if (isAppError(error, "Conflict")) this.#revision = undefined;
        else
          log.warn({ kind: this.#kind.kind, failures, error: String(error) }, "objects not followed; will try again");
      }
      const pauseMs = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(failures, 8));
      if (failures > 1) await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  async #follow(moved: () => void): Promise<void> {
    const { store } = this.#deps;
    const unreadable = this.#view.unreadable.bind(this.#view);
    const from = this.#revision ?? "";
    for await (const { type, object, revision } of store.watch(this.#kind, from, this.#stop.signal, unreadable)) {
      moved();
      if (type === "deleted") this.#view.gone(object);
      else this.#view.put(object, false);
      this.#revision = revision;
    }
  }
}
