/** Times of a brain in Kubernetes that tests and benches shorten. */
import { type LeaseTimes, leaseTimes } from "../runtime/lease.ts";

export interface OperatorTimes {
  lease: LeaseTimes;
  /** How long heat is kept; 30 s unless told otherwise. */
  heatTtlMs?: number;
  /** Takes a lease that isn't there at once; for where nobody else can be. */
  absentMeansNew?: boolean;
}

export const operatorTimes: OperatorTimes = { lease: leaseTimes };
