/** One act as the brain keeps it while it runs. */
import type { ActDone, ActDoneAnswer, ActId, ActTask } from "@couchestor/common/api/acts.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { ChunkColumn } from "./chunk-columns.ts";

export interface Mover {
  nodeName: string;
  instanceUuid: string;
  clusterUrl: string;
  adminUrl: string;
}

/** What a part of the brain asks the registry to run. */
export interface ActOrder {
  kind: ActTask["kind"];
  volumeUuid: string;
  epoch: number;
  runName: string;
  mover: Mover;
  /** What one of its chunks takes on the medium; 0 for an act that puts none. */
  chunkBytes: number;
  task(act: ActId): ActTask;
  /** The chunks that the act may put; deleted by name when it is dropped. */
  columns(act: ActId): ChunkColumn[];
  /** Called once the mover reports success: commits. A retryable error leaves the act as it is and the mover reports again. */
  commit(act: ActId, done: ActDone): Promise<ActDoneAnswer>;
}

export interface ActEnd {
  answer: ActDoneAnswer;
  /** The mover's report, if there was one. */
  done: ActDone | undefined;
  error?: AppError | undefined;
}

export interface ActRecord {
  act: ActId;
  order: ActOrder;
  state: "starting" | "running" | "committing" | "ended";
  acceptedMs: number | undefined;
  lastProgressMs: number;
  /** Heartbeats of its mover, since it accepted, that did not list the act. */
  missedBeats: number;
  stripesDone: number;
  stripesTotal: number;
  /** Pool → bytes that the act may put there in all. */
  reserved: ReadonlyMap<string, number>;
  bytesMoved: number;
  committing: Promise<ActDoneAnswer> | undefined;
  /** A commit was tried and its outcome is not known: its chunks are left to garbage collection, which fences first. */
  unsure: boolean;
  ended: Promise<ActEnd>;
  end(end: ActEnd): void;
}

/** A record of an act that is about to be handed over. */
export function newRecord(order: ActOrder, act: ActId, nowMs: number): ActRecord {
  const ended = Promise.withResolvers<ActEnd>();
  return {
    act,
    order,
    state: "starting",
    acceptedMs: undefined,
    lastProgressMs: nowMs,
    missedBeats: 0,
    stripesDone: 0,
    stripesTotal: 0,
    reserved: reservedBy(order, act),
    bytesMoved: 0,
    committing: undefined,
    unsure: false,
    ended: ended.promise,
    end: ended.resolve,
  };
}

function reservedBy(order: ActOrder, act: ActId): Map<string, number> {
  const reserved = new Map<string, number>();
  for (const { poolUuid, stripeCount } of order.columns(act)) {
    reserved.set(poolUuid, (reserved.get(poolUuid) ?? 0) + stripeCount * order.chunkBytes);
  }
  return reserved;
}

/** The error of a mover's report of failure. */
export function failureOf({ error }: ActDone): AppError {
  return new AppError("Unavailable", error?.message ?? "the mover failed", {
    data: { ...(error?.data ?? {}), code: error?.code },
  });
}
