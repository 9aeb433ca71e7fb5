/** The parts that work on volumes, as one bundle. */
import type { ActRegistry } from "../acts/act-registry.ts";
import type { ChunkOrders } from "../acts/chunk-orders.ts";
import type { ClusterIdentity } from "../inventory/cluster.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { Standings } from "../inventory/standing.ts";
import type { BrainContext } from "../ports.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Ownership } from "./ownership.ts";

export interface Services {
  context: BrainContext;
  cluster: ClusterIdentity;
  inventory: Inventory;
  standings: Standings;
  catalogue: Catalogue;
  ownership: Ownership;
  orders: ChunkOrders;
  acts: ActRegistry;
}
