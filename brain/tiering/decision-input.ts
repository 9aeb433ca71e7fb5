/** All that a decision about volumes rests on. */
import type { Heat } from "./heat.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { ActiveMove, TieredPool, TieredVolume, TieringPolicy } from "./model.ts";

export interface DecisionInput {
  policies: readonly TieringPolicy[];
  volumes: readonly TieredVolume[];
  pools: readonly TieredPool[];
  heat: (policy: TieringPolicy, volume: TieredVolume) => Heat;
  active: readonly ActiveMove[];
  /** Migrations at once, of all policies. */
  maxConcurrent: number;
  /** Bytes a second that migrations of all policies may begin to copy; undefined: no limit. */
  bytesPerSecond?: number | undefined;
  /** Those that there are, for what has begun of late. */
  migrations?: readonly KnownMigration[];
  /** Every decision is shown only. */
  dryRun: boolean;
  nowMs: number;
}
