/** `--pool NAME=device:ID`: finds the claimed device of a pool wherever it is plugged in now, and makes sure that its label says the same. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { devicePrefix } from "../pools/open-pool.ts";
import { discover } from "./discover.ts";
import { type InspectParts, inspect } from "./inspect.ts";
import { labelText } from "./label.ts";
import type { Device } from "./model.ts";
import { poolPrefix, resolveDevice } from "./resolve.ts";
import { survey } from "./survey.ts";
import { readUsage } from "./usage.ts";

export interface ClaimedDevice {
  path: string;
  /** What the label says; what is opened must be this pool. */
  poolUuid: string;
}

/** The device that `path` (`device:ID`) names. Throws `Unavailable` while it is not there, and `FailedPrecondition` if it isn't claimed for this pool and node. */
export async function claimedDevice(
  parts: InspectParts,
  wanted: { path: string; poolName: string; nodeName: string },
): Promise<ClaimedDevice> {
  const id = wanted.path.slice(devicePrefix.length);
  const device = await find(parts, id, wanted.poolName);
  const { label, inUse } = device;
  if (label === undefined) {
    const why = inUse.length === 0 ? "" : ` (${inUse.map(({ detail }) => detail).join("; ")})`;
    throw refused(wanted, `device ${id} is not claimed${why}: couchestor device claim ${id} --pool ${wanted.poolName}`);
  }
  if (label.poolName !== wanted.poolName || (label.nodeName !== "" && label.nodeName !== wanted.nodeName)) {
    const move = `couchestor device claim ${id} --pool ${wanted.poolName} --node ${wanted.nodeName} --move`;
    throw refused(wanted, `device ${id} carries ${labelText(label)}. If the disk was moved here on purpose: ${move}`);
  }
  const active = inUse.filter(({ kind }) => kind === "active");
  if (active.length > 0) throw refused(wanted, `device ${id}: ${active.map(({ detail }) => detail).join("; ")}`);
  return { path: device.path, poolUuid: label.poolUuid };
}

async function find(parts: InspectParts, id: string, poolName: string): Promise<Device> {
  try {
    // By label means to look at every disk; by id at one. Nobody is asked whether it is busy: opening it will tell, and the disks of others are not ours
    // to take, be it for a moment, as often as this is tried.
    const look = { asksWhetherBusy: false };
    if (id.startsWith(poolPrefix)) return resolveDevice((await survey(parts, look)).devices, id);
    const device = resolveDevice((await discover(parts.tree)).devices, id);
    return await inspect(parts, device, await readUsage(parts.tree), look);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "NotFound") throw error;
    throw new AppError("Unavailable", `pool ${poolName}: ${error.message}. It is opened when it appears`, {
      cause: error,
    });
  }
}

function refused({ poolName }: { poolName: string }, why: string): AppError {
  return new AppError("FailedPrecondition", `pool ${poolName}: ${why}`);
}
