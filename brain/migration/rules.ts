/**
 * The judgements that the safety of a migration rests on, in one place. Tests put a wrong one in the place of a right one and must then see
 * harm done; nothing else replaces them.
 */
import type { RefusalKind } from "../mayastor/outcome.ts";
import { type Lowering, unsoundness, whyNotLower } from "./copies.ts";
import type { Steering } from "./movers/mover.ts";
import type { MigrationSettings } from "./settings.ts";
import type { Settle } from "./settle.ts";
import { likelyVictims, type VictimQuestion } from "./victims.ts";
import type { ReplicaView, VolumeView } from "./view.ts";

export interface MoverRules {
  /**
   * Whether what is read can be trusted to stay so: what came of a call (`outcome`), which replicas there are (`shape`), or also how they are
   * (`health`). A call's outcome is told by the number of replicas alone where the server exchanges them again and again.
   */
  settled(settle: Settle, of: "outcome" | "shape" | "health", settings: MigrationSettings): boolean;
  /** The replica that came by our doing: it was not there before, and is on a pool that was wanted. */
  newcomer(volume: VolumeView, before: readonly string[], wanted: ReadonlySet<string>): ReplicaView | undefined;
  /** Why not every replica is complete; undefined if all are. */
  unsoundness(volume: VolumeView, offline: boolean): string | undefined;
  /** Why the count must not be lowered. */
  whyNotLower(lowering: Lowering): string | undefined;
  /** Those that may be removed first. */
  victims(question: VictimQuestion): string[];
  /** What is to be set before a step, of what the mover proposes. */
  steering(items: readonly Steering[]): readonly Steering[];
  /** Whether a refusal to set something means that it is somebody else's. `attempts`: of ours that may have set it, this one included. */
  isForeign(refusal: { why: RefusalKind; attempts: number }): boolean;
  /** Whether what we hold may be taken back. `uncertainMs`: since an attempt to set something whose end isn't known; it may come late. */
  mayTakeBack(uncertainMs: number | undefined, settings: MigrationSettings): boolean;
}

/** So many times the settling time the number of replicas has to be the same for it to count alone. */
const churnFactor = 5;

export const soundRules: MoverRules = {
  settled: (settle, of, { settleMs, settleReadsMin }) => {
    if (of === "health") return settle.healthMs >= settleMs && settle.healthReads >= settleReadsMin;
    const churns = of === "outcome" && settle.countMs >= churnFactor * settleMs && settle.countReads >= settleReadsMin;
    return churns || (settle.shapeMs >= settleMs && settle.shapeReads >= settleReadsMin);
  },
  newcomer: (volume, before, wanted) =>
    volume.replicas.find(({ uuid, pool }) => !before.includes(uuid) && pool !== undefined && wanted.has(pool)),
  unsoundness,
  whyNotLower,
  victims: likelyVictims,
  steering: (items) => items,
  isForeign: ({ attempts }) => attempts <= 1,
  mayTakeBack: (uncertainMs, { settleMs }) => uncertainMs === undefined || uncertainMs >= settleMs,
};
