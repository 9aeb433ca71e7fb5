/** Which device a person means. Pure. Names like `/dev/sdb` are answered with the id, since the name may be another disk's after the next start. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Device } from "./model.ts";

/** How a pool on a claimed device may be named as well, whatever the device says of itself: by its label. */
export const poolPrefix = "pool-";

/** The one device that `text` names: by id, by a name of udev, or (`pool-UUID`) by the label on it. Throws `NotFound` or `InvalidArgument`. */
export function resolveDevice(devices: readonly Device[], text: string): Device {
  const found = devices.filter((device) => namesOf(device).includes(text));
  const [only] = found;
  if (found.length === 1 && only !== undefined) return only;
  if (found.length > 1) {
    throw new AppError("Conflict", `device ${text}: ${found.map(({ path }) => path).join(" and ")} both say to be it`, {
      data: { field: "device", came: text },
    });
  }
  const byPath = devices.find(({ path, name }) => path === text || name === text);
  if (byPath !== undefined) {
    throw new AppError(
      "InvalidArgument",
      `device: got ${text}, a name that may be another disk's after the next start; its id is ${byPath.id}`,
      { data: { field: "device", came: text, id: byPath.id } },
    );
  }
  const ids = devices.map(({ id }) => id);
  const shown = ids.length === 0 ? "none" : `${ids.slice(0, 16).join(", ")}${ids.length > 16 ? " …" : ""}`;
  throw new AppError("NotFound", `device ${text} is not there. There are: ${shown}`, {
    data: { field: "device", came: text },
  });
}

function namesOf({ id, byId, label }: Device): string[] {
  return [id, ...byId, ...(label === undefined ? [] : [`${poolPrefix}${label.poolUuid}`])];
}
