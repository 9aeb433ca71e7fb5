/** What holds evacuations back when many devices fail at once. Pure. */
import type { FailingPool } from "./failing-pools.ts";

/** So many at once are separate failures in a cluster of any size. */
const failingAlwaysAllowed = 1;

/**
 * The brake on evacuations. When more than `shareMax` of all pools stand on devices that say they are failing, the cause is more likely one bad firmware,
 * one hot room or one broken backplane than so many dying disks, and to empty them all would fill what is left and wear it out for nothing.
 * Nothing is moved then, and the pools take writes as before; runs that really lost something are repaired all the same. Returns why it is on, or undefined.
 */
export function evacuationBrake(
  failing: readonly Pick<FailingPool, "model" | "firmware">[],
  poolsTotal: number,
  shareMax: number,
): string | undefined {
  if (failing.length <= failingAlwaysAllowed || failing.length <= poolsTotal * shareMax) return undefined;
  const kind = commonKind(failing);
  const alike = kind === undefined ? "" : `, all of them ${kind}: suspect its firmware`;
  return (
    `${failing.length} of ${poolsTotal} pools stand on devices that report that they are failing, more than the ${Math.round(shareMax * 100)} % taken for ` +
    `separate failures${alike}. Nothing is moved off them. Look at the devices; if they are really dying, raise --failing-devices-percent`
  );
}

/** Model and firmware, if all have the same. */
function commonKind(failing: readonly Pick<FailingPool, "model" | "firmware">[]): string | undefined {
  const [first, ...others] = failing;
  if (first?.model === undefined || others.some((o) => o.model !== first.model || o.firmware !== first.firmware)) {
    return undefined;
  }
  return first.firmware === undefined ? first.model : `${first.model} with firmware ${first.firmware}`;
}
