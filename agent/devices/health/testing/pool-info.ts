/** A pool on a device as the agent reports it, for tests. */
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { poolUuid } from "../../testing/machine.ts";

export const onlinePool: PoolInfo = {
  poolUuid,
  poolName: "p1",
  kind: "block",
  labels: {},
  state: "Online",
  clusterUuid: zeroUuid,
  capacityBytes: 1,
  usedBytes: 0,
  freeBytes: 1,
  liveBytes: 0,
  chunkCount: 0,
};
