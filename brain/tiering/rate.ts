/**
 * How much may begin to be copied a unit of time. Mayastor has no throttle for a rebuild, so what is limited is when the next one begins:
 * when all before it would be through at that rate. Known from the Migrations that there are, and so the same for every brain. Pure.
 */
import type { KnownMigration } from "./known-migrations.ts";

export class RateBudget {
  readonly #bytesPerSecond: number | undefined;
  #busyUntilMs = 0;

  constructor(bytesPerSecond: number | undefined, migrations: readonly KnownMigration[]) {
    this.#bytesPerSecond = bytesPerSecond;
    if (bytesPerSecond === undefined) return;
    for (const { createdMs, bytes } of [...migrations].sort((a, b) => a.createdMs - b.createdMs))
      this.take(bytes, createdMs);
  }

  /** Since when something may begin, in wall-clock milliseconds; at once if that is past. */
  get freeAtMs(): number {
    return this.#busyUntilMs;
  }

  take(bytes: number, nowMs: number): void {
    if (this.#bytesPerSecond === undefined) return;
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs) + (bytes / this.#bytesPerSecond) * 1000;
  }
}
