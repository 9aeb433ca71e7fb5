/** What the index of runs keeps of each. */
import type { EcStripeSpec, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import type { RunShape } from "./run-shape.ts";

export interface RunEntry extends RunShape {
  name: string;
  volumeName: string;
  volumeUuid: string;
  firstStripe: number;
  stripeCount: number;
  encodeEpoch: number;
  encodeAct: number;
  placementVersion: number;
  authority: EcStripeSpec["authority"];
  fencedEpoch: number;
  bytes: number;
  state: "Unwritten" | "Healthy" | "Degraded" | "Unrecoverable";
  /** The state as the status has it, with what was being done to the run. */
  shown: EcStripeStatus["state"];
  missing: readonly number[];
  lastScrubIso: string | undefined;
  /** The store's revision of the object; NaN where revisions are no numbers. */
  revision: number;
  /** Why nothing is to be written or removed by this version, which somebody made by hand. */
  held: string | undefined;
}
