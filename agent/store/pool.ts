/** What the parts of one open pool share. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { Medium } from "./medium.ts";
import type { PoolHealth } from "./pool-health.ts";
import type { PoolLimits } from "./pool-limits.ts";
import type { PoolMap } from "./pool-map.ts";
import { type DamagedRange, unreadable } from "./record-scanner.ts";

export interface PoolLog {
  info(message: string, data: Record<string, unknown>): void;
  warn(message: string, data: Record<string, unknown>): void;
}

export interface Pool {
  readonly name: string;
  readonly medium: Medium;
  readonly map: PoolMap;
  readonly health: PoolHealth;
  readonly limits: PoolLimits;
  readonly checksum: Checksum;
  readonly clock: Clock;
  readonly log: PoolLog;
  /** Ranges whose records could not be read: at most `damageMax` of them, and the segments with blocks that can't be read. */
  readonly damage: DamagedRange[];
}

const damageMax = 1000;

/** Notes damage once, and says so. */
export function noteDamage(pool: Pool, range: DamagedRange): void {
  const known = pool.damage.some(
    ({ segmentId, fromOffset, what }) =>
      segmentId === range.segmentId &&
      fromOffset === range.fromOffset &&
      (what === unreadable) === (range.what === unreadable),
  );
  // That a segment could not be read keeps it from being removed, so it is noted however much else there is: few for each segment.
  if (known || (pool.damage.length >= damageMax && range.what !== unreadable)) return;
  pool.damage.push(range);
  pool.log.warn("damage in a pool", { pool: pool.name, ...range });
}
