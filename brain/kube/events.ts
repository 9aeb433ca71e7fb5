/**
 * Kubernetes Events: what happened to an object, for `kubectl describe`. The same event again raises the count of the first (a series) and is
 * written now and then; an object that has too many says no more for a while. Best effort: an event that can't be written is dropped, since
 * nothing may wait for it or fail by it.
 */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import { TokenBucket } from "@couchestor/common/resilience/token-bucket.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { KubeClient } from "./client.ts";
import { apiVersionOf, type KubeObject, kubeTypes } from "./objects.ts";

export interface EventLimits {
  /** Series and objects that are remembered. */
  rememberedMax: number;
  /** Events that wait to be written. */
  waitingMax: number;
  /** The same event within this time belongs to the series. */
  seriesMs: number;
  /** How often a series is written at most. */
  seriesWriteMs: number;
  /** Events of one object at once, and over time. */
  burst: number;
  ratePerSecond: number;
}

export const eventLimits: EventLimits = {
  rememberedMax: 2_048,
  waitingMax: 512,
  seriesMs: 6 * 60_000,
  seriesWriteMs: 60_000,
  burst: 25,
  ratePerSecond: 1 / 60,
};

export interface EventText {
  type: "Normal" | "Warning";
  /** Why, in CamelCase: `PolicyConflict`. */
  reason: string;
  /** What was done or tried, in CamelCase: `Evaluate`. */
  action: string;
  /** For people. Figures that change all the time make each a new event. */
  note: string;
}

export interface EventDeps {
  client: KubeClient;
  clock: Clock;
  prng: Prng;
  logger: Logger;
}

export interface EventSource {
  /** `storage.billyronks.io/brain`. */
  controller: string;
  /** This process: the pod's name. */
  instance: string;
  limits?: Partial<EventLimits>;
}

interface Series {
  event: EventObject;
  count: number;
  written: number;
  lastMs: number;
  cancelWrite: (() => void) | undefined;
}

interface EventObject extends KubeObject {
  eventTime: string;
  reportingController: string;
  reportingInstance: string;
  regarding: {
    apiVersion: string;
    kind: string;
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
  };
  reason: string;
  action: string;
  note: string;
  type: string;
  series?: { count: number; lastObservedTime: string };
}

const noteBytesMax = 1024;
/** Where events of objects without a namespace go. */
const clusterNamespace = "default";

export class EventRecorder {
  readonly #deps: EventDeps;
  readonly #source: EventSource;
  readonly #limits: EventLimits;
  readonly #series = new Map<string, Series>();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #writing: Promise<void> | undefined;
  #dropped = 0;
  #stopped = false;

  constructor(deps: EventDeps, source: EventSource) {
    this.#deps = deps;
    this.#source = source;
    this.#limits = { ...eventLimits, ...source.limits };
  }

  /** Events that were not written: too many, or the API server wouldn't have them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Records an event of an object. Returns at once. */
  record(regarding: KubeObject, text: EventText): void {
    if (this.#stopped) return;
    const key = JSON.stringify([
      regarding.kind,
      regarding.metadata.uid ?? regarding.metadata.name,
      regarding.metadata.namespace,
      text.type,
      text.reason,
      text.action,
      text.note,
    ]);
    const nowMs = this.#deps.clock.monotonicMs();
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastMs < this.#limits.seriesMs) {
      this.#again(key, known, nowMs);
      return;
    }
    if (!this.#mayTell(regarding)) {
      this.#dropped += 1;
      return;
    }
    const series: Series = {
      event: this.#event(regarding, text),
      count: 1,
      written: 0,
      lastMs: nowMs,
      cancelWrite: undefined,
    };
    remember(this.#series, key, series, this.#limits.rememberedMax)?.cancelWrite?.();
    this.#enqueue(() => this.#write(series));
  }

  /** Writes what waits, counts of series included. */
  async flush(): Promise<void> {
    for (const series of this.#series.values()) {
      if (series.cancelWrite === undefined) continue;
      series.cancelWrite();
      series.cancelWrite = undefined;
      this.#enqueue(() => this.#write(series));
    }
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Writes what waits and takes nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.flush();
  }

  #again(key: string, series: Series, nowMs: number): void {
    series.count += 1;
    series.lastMs = nowMs;
    remember(this.#series, key, series, this.#limits.rememberedMax);
    series.cancelWrite ??= this.#deps.clock.after(this.#limits.seriesWriteMs, () => {
      series.cancelWrite = undefined;
      this.#enqueue(() => this.#write(series));
    });
  }

  #mayTell(regarding: KubeObject): boolean {
    const key = regarding.metadata.uid ?? `${regarding.kind}/${regarding.metadata.name}`;
    let bucket = this.#buckets.get(key);
    bucket ??= new TokenBucket(this.#deps.clock, {
      ratePerSecond: this.#limits.ratePerSecond,
      burst: this.#limits.burst,
    });
    remember(this.#buckets, key, bucket, this.#limits.rememberedMax);
    return bucket.tryTake(1);
  }

  #enqueue(write: () => Promise<void>): void {
    if (this.#waiting.length >= this.#limits.waitingMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(write);
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    for (let write = this.#waiting.shift(); write !== undefined; write = this.#waiting.shift()) {
      try {
        await write();
      } catch (error) {
        this.#dropped += 1;
        this.#deps.logger.debug({ err: error }, "an event could not be written");
      }
    }
  }

  async #write(series: Series): Promise<void> {
    const { client } = this.#deps;
    const { event, count } = series;
    if (count === series.written) return;
    const { name, namespace } = event.metadata;
    if (series.written > 0) {
      const patch = { series: { count, lastObservedTime: this.#now() } };
      try {
        await client.mergePatch(kubeTypes.event, { name, namespace }, patch, writeOptions);
        series.written = count;
        return;
      } catch (error) {
        // Events live for an hour: begin a new one.
        if (!isAppError(error, "NotFound")) throw error;
      }
    }
    const body = count > 1 ? { ...event, series: { count, lastObservedTime: this.#now() } } : event;
    await client.create(kubeTypes.event, body, writeOptions);
    series.written = count;
  }

  #event(regarding: KubeObject, text: EventText): EventObject {
    const { name, namespace, uid, resourceVersion } = regarding.metadata;
    const suffix = Buffer.from(this.#deps.prng.bytes(8)).toString("hex");
    return {
      apiVersion: apiVersionOf(kubeTypes.event),
      kind: kubeTypes.event.kind,
      metadata: { name: `${name.slice(0, 236)}.${suffix}`, namespace: namespace ?? clusterNamespace },
      eventTime: this.#now(),
      reportingController: this.#source.controller,
      reportingInstance: this.#source.instance.slice(0, 128),
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      type: text.type,
      reason: text.reason.slice(0, 128),
      action: text.action.slice(0, 128),
      note: shortened(text.note),
    };
  }

  #now(): string {
    return isoNow(this.#deps.clock).replace("Z", "000Z");
  }
}

/** One attempt, and not for long: the next event is worth more than this one. */
const writeOptions = { attemptsMax: 2, timeoutMs: 5_000 };

/** Sets a key, as the newest; returns what was forgotten for it. */
function remember<V>(map: Map<string, V>, key: string, value: V, max: number): V | undefined {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return undefined;
  const [oldest] = map;
  if (oldest === undefined) return undefined;
  map.delete(oldest[0]);
  return oldest[1];
}

/** At most `noteBytesMax` bytes, whole characters. */
function shortened(note: string): string {
  if (Buffer.byteLength(note) <= noteBytesMax) return note;
  const cut = Buffer.from(note)
    .subarray(0, noteBytesMax - 3)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
  return `${cut}…`;
}
