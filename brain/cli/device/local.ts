/** What the verbs of `device` share: the devices of this machine, and how one is put in words. */
import type { DeviceInfo } from "@couchestor/common/api/devices.ts";
import type { LocalDevices } from "@couchestor/common/api/local-devices.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type CommandContext, exitUsage } from "../command.ts";
import type { ArgumentSpec } from "../command-spec.ts";
import type { Output } from "../output.ts";

export const deviceId: ArgumentSpec = {
  name: "ID",
  help: "the device's id, as `device list` shows it; or a name from /dev/disk/by-id; or pool-UUID for a claimed one",
  required: true,
};

/** Errors by which nothing was done because it must not be: exit code 2. */
const refusals: ReadonlySet<string> = new Set(["FailedPrecondition", "WrongCluster", "Conflict", "NotFound"]);

/** Runs a verb with the devices of this machine. What is refused is told, and ends with exit code 2. */
export async function onDevices(
  context: CommandContext,
  use: (devices: LocalDevices) => Promise<number>,
): Promise<number> {
  try {
    return await withLocalDevices(context, use);
  } catch (error) {
    if (!(error instanceof AppError) || !refusals.has(error.code)) throw error;
    context.output.failure(error);
    return exitUsage;
  }
}

/** Runs `use` with the devices of this machine. */
export async function withLocalDevices<T>(
  context: CommandContext,
  use: (devices: LocalDevices) => Promise<T>,
): Promise<T> {
  const { devices } = context.host;
  if (devices === undefined) throw new AppError("FailedPrecondition", "this program can't look at devices here");
  const local = await devices();
  try {
    return await use(local);
  } finally {
    local.close();
  }
}

/** `hdd sata`, `ssd pcie`, `zns pcie`. */
export function mediaText({ rotational, zoned, transport }: DeviceInfo): string {
  const smr = rotational === true ? "smr" : "zns";
  const media = zoned === "host-managed" ? smr : rotational === true ? "hdd" : rotational === false ? "ssd" : "disk";
  return `${media} ${transport}`;
}

/** `free`, or the gravest reason why not. */
export function useText(device: DeviceInfo): string {
  const [first] = device.inUse;
  return first === undefined ? "free" : first.detail;
}

/** The health's state in its colour, with the temperature. */
export function healthText(output: Output, { health }: DeviceInfo): string {
  if (health === undefined) return "-";
  const tone = ({ Healthy: "good", Wearing: "warn", Failing: "bad", Gone: "bad", Unknown: "dim" } as const)[
    health.state
  ];
  const warm = health.temperatureCelsius === undefined ? "" : ` ${Math.round(health.temperatureCelsius)} °C`;
  return output.paint(health.state, tone) + warm;
}
