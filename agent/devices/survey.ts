/** A whole look at this machine's devices: found by sysfs, then each looked at, several at a time. */
import { discover, inLanes } from "./discover.ts";
import { type InspectParts, inspect } from "./inspect.ts";
import type { Inventory } from "./model.ts";
import { readUsage } from "./usage.ts";

const inspectionsAtOnce = 8;

/** All devices with what is on them; `inspect` tells what `asksWhetherBusy` costs others. Never throws. */
export async function survey(parts: InspectParts, options: { asksWhetherBusy?: boolean } = {}): Promise<Inventory> {
  const [inventory, usage] = await Promise.all([discover(parts.tree), readUsage(parts.tree)]);
  const devices = await inLanes(inventory.devices, inspectionsAtOnce, (device) =>
    inspect(parts, device, usage, options),
  );
  return { ...inventory, devices, problems: [...inventory.problems, ...usage.problems] };
}
