/** What people read in an ECStripe's status, derived from the run and from what was observed of it. Pure. */
import { dataShards, shardCount } from "../code/code.ts";
import { currentPlacement, type EcStripeSpec, type EcStripeStatus } from "./ec-stripe.ts";

/** How a run was judged, in the words of whoever reads chunks. */
export type JudgedState = "Unwritten" | "Healthy" | "Degraded" | "Unrecoverable";

/** What is being done to a run now. */
export type RunActivity = "encode" | "rebuild" | undefined;

/** The state in a status for a judgement and what is under way. */
export function stripeStateOf(judged: JudgedState, activity?: RunActivity): EcStripeStatus["state"] {
  if (judged === "Unrecoverable") return "Failed";
  if (judged === "Unwritten" && activity === "encode") return "Writing";
  if (judged === "Degraded" && activity === "rebuild") return "Rebuilding";
  return judged;
}

/** The judgement behind a state. */
export function judgedStateOf(state: EcStripeStatus["state"]): JudgedState {
  if (state === "Failed") return "Unrecoverable";
  if (state === "Writing") return "Unwritten";
  if (state === "Rebuilding") return "Degraded";
  return state;
}

const blockBytes = 4096;

/** The status with all that follows from the run's spec, its `state` and its `missingShards` brought in line with them. */
export function readableStatus(spec: EcStripeSpec, status: EcStripeStatus): EcStripeStatus {
  const { shardLocations: _, shardHealth: __, rebuildProgress, ...counted } = status;
  const { healthyShards: ___, healthyDataShards: ____, healthyParityShards: _____, ...rest } = counted;
  const { startBytes, endBytes } = spec.lbaRange;
  const placement = currentPlacement(spec);
  const k = dataShards(spec.code);
  const missing = new Set(status.missingShards);
  const stored = placement === undefined ? 0 : shardCount(spec.code);
  const healthy = range(stored).filter((shard) => !missing.has(shard));
  const healthyData = healthy.filter((shard) => shard < k).length;
  const rebuilding = status.state === "Rebuilding";
  return {
    ...rest,
    lbaRange: {
      startLba: Math.floor(startBytes / blockBytes),
      endLba: Math.max(Math.floor(startBytes / blockBytes), Math.ceil(endBytes / blockBytes) - 1),
    },
    // While it is written, or was never looked at, none are counted: that would be to take what is not known for zero, or for all.
    ...(status.state === "Writing"
      ? {}
      : {
          healthyShards: healthy.length,
          healthyDataShards: healthyData,
          healthyParityShards: healthy.length - healthyData,
        }),
    ...(rebuilding && rebuildProgress !== undefined ? { rebuildProgress } : {}),
    ...(status.lastScrub === undefined ? {} : { lastVerificationTime: later(status.lastScrub, status.lastAudit) }),
    ...(placement === undefined
      ? {}
      : {
          lastModifiedTime: placement.since,
          shardLocations: placement.shardLocations.map(({ shardIndex, poolName, nodeName }) => ({
            shardIndex,
            isDataShard: shardIndex < k,
            poolName,
            nodeName,
          })),
        }),
    ...(missing.size === 0
      ? {}
      : {
          shardHealth: [...missing].map((shardIndex) => ({ shardIndex, state: rebuilding ? "Rebuilding" : "Missing" })),
        }),
  };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function later(a: string, b: string | undefined): string {
  return b !== undefined && b > a ? b : a;
}
