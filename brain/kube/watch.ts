/**
 * Following changes. One connection is asked for bookmarks and to end by itself after some minutes; it is given up when it is silent for
 * longer than bookmarks should take (a half-open connection looks just like that), and in each case the next one goes on behind the last
 * change that was seen. Only a revision that is no longer kept (410), or that the API server has not reached itself, can't be gone on from: then the
 * caller lists again.
 */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { type KubeClient, received, type Selection, selectors } from "./client.ts";
import { jsonLines } from "./json-lines.ts";
import { type KubeObject, type ObjectType, pathOf } from "./objects.ts";
import { errorFromWatchStatus, isExpired } from "./status-error.ts";

export interface WatchLimits {
  /** The API server ends a connection after this long, up to half as long again. */
  connectionSeconds: number;
  /** How long a connection may take until its first byte. */
  openMsMax: number;
  /** Silence that counts as a dead connection. Bookmarks come every minute. */
  idleMsMax: number;
  pauseMs: number;
  pauseMsMax: number;
  lineBytesMax: number;
}

export const watchLimits: WatchLimits = {
  connectionSeconds: 240,
  openMsMax: 30_000,
  idleMsMax: 150_000,
  pauseMs: 200,
  pauseMsMax: 10_000,
  lineBytesMax: 16 * 1024 * 1024,
};

export interface WatchOptions extends Selection {
  /** Changes behind this revision. */
  resourceVersion: string;
  signal: AbortSignal;
  limits?: Partial<WatchLimits>;
  /** Told when a connection is up, and why it ended, for health and logs. */
  onConnection?: (up: boolean, why?: unknown) => void;
}

export interface Change<T> {
  type: "added" | "modified" | "deleted" | "bookmark";
  /** Of a bookmark only `metadata.resourceVersion` means something. */
  object: T;
  resourceVersion: string;
}

export interface WatchDeps {
  client: KubeClient;
  clock: Clock;
  prng: Prng;
}

/**
 * Changes behind a revision, each once, in order, with bookmarks, over as many connections as it takes. Ends quietly when the signal
 * aborts. Throws an expired error (410) when the revision is no longer kept or can't be followed, and refusals that waiting can't change.
 */
export async function* followChanges<T extends KubeObject>(
  deps: WatchDeps,
  type: ObjectType,
  options: WatchOptions,
): AsyncGenerator<Change<T>> {
  const limits = { ...watchLimits, ...options.limits };
  let { resourceVersion } = options;
  let failures = 0;
  let silences = 0;
  while (!options.signal.aborted) {
    const startMs = deps.clock.monotonicMs();
    let changes = 0;
    let opened = false;
    const onConnection = (up: boolean): void => {
      opened = true;
      options.onConnection?.(up);
    };
    try {
      for await (const change of oneConnection<T>(deps, type, { ...options, onConnection, resourceVersion }, limits)) {
        changes += 1;
        resourceVersion = change.resourceVersion;
        yield change;
      }
      options.onConnection?.(false);
      // One that ends at once without a word is as good as failed.
      failures = changes > 0 || deps.clock.monotonicMs() - startMs > livedMs ? 0 : failures + 1;
    } catch (error) {
      if (options.signal.aborted) return;
      options.onConnection?.(false, error);
      if (isExpired(error) || !mayGoOn(error)) throw error;
      silences = opened && changes === 0 && isAppError(error, "Timeout") ? silences + 1 : 0;
      if (silences === silencesMax) throw unheardOf(type, resourceVersion, error);
      failures = changes > 0 ? 1 : failures + 1;
    }
    if (options.signal.aborted) return;
    await deps.clock.sleep(pauseMs(failures, limits, deps.prng), options.signal).catch(() => undefined);
  }
}

async function* oneConnection<T extends KubeObject>(
  deps: WatchDeps,
  type: ObjectType,
  options: WatchOptions,
  limits: WatchLimits,
): AsyncGenerator<Change<T>> {
  const timeoutSeconds = Math.ceil(limits.connectionSeconds * (1 + deps.prng.float() / 2));
  const connection = new AbortController();
  const abort = () => connection.abort(options.signal.reason);
  options.signal.addEventListener("abort", abort, { once: true });
  const idle = new Deadline(deps.clock, limits.idleMsMax, connection);
  const path = pathOf(type, { namespace: options.namespace });
  const query = {
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion: options.resourceVersion,
    timeoutSeconds,
    ...selectors(options),
  };
  try {
    idle.start(Math.min(limits.openMsMax, limits.idleMsMax));
    const response = await deps.client.transport.open({ method: "GET", path, query, signal: connection.signal });
    options.onConnection?.(true);
    for await (const line of jsonLines(response.body, limits.lineBytesMax, idle)) yield changeOf<T>(type, path, line);
  } catch (error) {
    if (idle.passed)
      throw new AppError("Timeout", `${path}: nothing came for ${limits.idleMsMax} ms; connecting again`, {
        cause: error,
      });
    throw isAppError(error)
      ? error
      : new AppError("Unavailable", `${path}: the watch broke off: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
  } finally {
    idle.stop();
    options.signal.removeEventListener("abort", abort);
    // Closes the connection, however the loop was left.
    connection.abort();
  }
}

const livedMs = 5_000;
/** So many connections in a row that were taken and said nothing, not even the bookmarks that they were asked for. */
const silencesMax = 2;

/**
 * An API server whose storage was put back to an older state waits, without a word, until it gets to the revision that it is asked to go on from.
 * By then other changes have the numbers in between, and deletions would be missed.
 */
function unheardOf(type: ObjectType, resourceVersion: string, cause: unknown): AppError {
  return new AppError(
    "Conflict",
    `${type.plural}: the API server says nothing of what comes behind revision ${resourceVersion}; list again`,
    { data: { status: 410, resourceVersion }, cause },
  );
}

const changeTypes = { ADDED: "added", MODIFIED: "modified", DELETED: "deleted", BOOKMARK: "bookmark" } as const;

function changeOf<T extends KubeObject>(type: ObjectType, path: string, line: unknown): Change<T> {
  const event = line as { type?: string; object?: T };
  if (event.type === "ERROR") throw errorFromWatchStatus(path, event.object);
  const change = changeTypes[event.type as keyof typeof changeTypes];
  const resourceVersion = event.object?.metadata?.resourceVersion;
  if (change === undefined || event.object === undefined || resourceVersion === undefined) {
    throw new AppError("Unavailable", `${path}: an event of type "${event.type}" came that is none of a watch`);
  }
  return { type: change, object: received(type, event.object), resourceVersion };
}

/** Refusals that come from who we are or what we ask will come again; the rest passes. */
function mayGoOn(error: unknown): boolean {
  return !isAppError(error) || error.retryable || error.data["status"] === undefined;
}

function pauseMs(failures: number, limits: WatchLimits, prng: Prng): number {
  // A connection that ended as it should is followed by the next at once; a little apart, so that many don't come together.
  if (failures === 0) return prng.float() * 50;
  return Math.min(limits.pauseMsMax, limits.pauseMs * 2 ** Math.min(failures - 1, 16)) * (0.5 + prng.float() / 2);
}

/** Aborts a connection when it is waited on for too long. */
export class Deadline {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #connection: AbortController;
  #cancel: (() => void) | undefined;
  passed = false;

  constructor(clock: Clock, ms: number, connection: AbortController) {
    this.#clock = clock;
    this.#ms = ms;
    this.#connection = connection;
  }

  start(ms = this.#ms): void {
    this.stop();
    this.#cancel = this.#clock.after(ms, () => {
      this.passed = true;
      this.#connection.abort(new DOMException("nothing came in time", "TimeoutError"));
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
