/** What the placer is asked. */
import type { Code } from "@couchestor/common/code/code.ts";
import type { PlacementRule } from "@couchestor/common/crd/ec-volume.ts";

export interface PlaceRequest {
  code: Code;
  rule: PlacementRule;
  /** Shards that stay where they are; they count against the limits. */
  keep: readonly { shardIndex: number; poolUuid: string }[];
  shardIndexes: readonly number[];
  bytesPerShard: number;
  /** The same seed on the same topology gives the same pools; another seed likely others. */
  seed: number;
}
