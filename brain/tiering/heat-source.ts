/** Where heat comes from, as a port. */
import type { Heat } from "./heat.ts";

export interface HeatSnapshot {
  /** The heat of the volume that the source knows by one of these names. */
  of(names: readonly string[]): Heat;
  /** Volumes that the source knows anything of. */
  readonly volumes: number;
  /** Requests that this snapshot took; the same for any number of volumes. */
  readonly requests: number;
  /** How far the source's clock is ahead of ours. */
  readonly clockOffsetMs: number;
  /** Monotonic time when it was taken. */
  readonly takenAtMs: number;
}

export interface HeatSource {
  /** For messages: its address. */
  readonly name: string;
  /** The heat of all volumes over the window, at most `ttlMs` old. Throws an `AppError` when the source doesn't answer. */
  snapshot(windowMs: number, signal?: AbortSignal): Promise<HeatSnapshot>;
  /** Throws unless the source answers. */
  ping(signal?: AbortSignal): Promise<void>;
}
