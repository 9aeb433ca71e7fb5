/**
 * A device as this machine has it. Made by `discover.ts`, completed by `inspect.ts`; read by health, claiming and pools. The fields are explained
 * where the command line shares them.
 */
import type { LocalDevice, LocalInventory } from "@couchestor/common/api/local-devices.ts";

export type Device = LocalDevice;
export type Inventory = LocalInventory;
