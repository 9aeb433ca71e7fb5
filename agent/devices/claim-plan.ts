/** What claiming or releasing a device would do, decided before anything is written. Pure: the same plan is shown by a dry run and carried out. */
import type { DeviceLabel, UseReason } from "@couchestor/common/api/devices.ts";
import type { ClaimAnswer, ClaimOrder } from "@couchestor/common/api/local-devices.ts";
import { nameSchema, uuidSchema, zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { labelText } from "./label.ts";
import type { Device } from "./model.ts";

export type ClaimPlan = Omit<ClaimAnswer, "device">;

/** The plan for claiming `device`. Throws `FailedPrecondition`, `WrongCluster`, `Conflict` or `InvalidArgument` saying why not and what to do. */
export function planClaim(device: Device, request: ClaimOrder, freshPoolUuid: string): ClaimPlan {
  checkRequest(request);
  refuse(device, "active", "is in use and can't be claimed");
  if (device.label !== undefined) return planLabelled(device, device.label, request);
  refuse(device, "ours", "can't be claimed");
  refuse(device, "unfit", "can't be claimed");
  const content = device.inUse.filter(({ kind }) => kind === "content");
  if (content.length > 0 && !request.wipe) {
    throw new AppError(
      "FailedPrecondition",
      `device ${device.id}: ${details(content)}. Give --wipe if that may be erased for good`,
      { data: { device: device.id, reasons: content } },
    );
  }
  const kind = device.zoned === "host-managed" ? ("zoned" as const) : ("block" as const);
  const { poolName, nodeName, clusterUuid = zeroUuid } = request;
  const label: DeviceLabel = { poolUuid: freshPoolUuid, poolName, nodeName, clusterUuid, kind };
  return {
    action: "format",
    label,
    erases: content.map(({ detail }) => detail),
    steps: formatSteps(device, label, content),
  };
}

function checkRequest({ poolName, nodeName, clusterUuid }: ClaimOrder): void {
  const bad = (field: string, came: string, allowed: string) =>
    new AppError("InvalidArgument", `${field}: got "${came}", allowed is ${allowed}`, { data: { field, came } });
  const names = "lower-case letters, digits, '-' and '.'";
  if (!nameSchema.safeParse(poolName).success) throw bad("--pool", poolName, names);
  if (nodeName !== "" && !nameSchema.safeParse(nodeName).success) throw bad("--node", nodeName, names);
  if (clusterUuid !== undefined && !uuidSchema.safeParse(clusterUuid).success) {
    throw bad("--cluster", clusterUuid, "a UUID in lower case");
  }
}

function planLabelled(device: Device, label: DeviceLabel, request: ClaimOrder): ClaimPlan {
  const { clusterUuid, poolName, nodeName } = request;
  const what = `device ${device.id} carries ${labelText(label)}`;
  if (clusterUuid !== undefined && label.clusterUuid !== zeroUuid && label.clusterUuid !== clusterUuid) {
    throw new AppError(
      "WrongCluster",
      `${what}, not cluster ${clusterUuid}: give it back to its own cluster, or release it first, which destroys its chunks`,
      { data: { device: device.id, got: label.clusterUuid, allowed: clusterUuid } },
    );
  }
  const next: DeviceLabel = {
    ...label,
    poolName,
    nodeName: nodeName === "" ? label.nodeName : nodeName,
    clusterUuid: label.clusterUuid === zeroUuid ? (clusterUuid ?? zeroUuid) : label.clusterUuid,
  };
  const changed = (["poolName", "nodeName", "clusterUuid"] as const).filter((field) => next[field] !== label[field]);
  if (changed.length === 0) return { action: "none", label, erases: [], steps: [] };
  const takesOver = next.poolName !== label.poolName || (label.nodeName !== "" && next.nodeName !== label.nodeName);
  if (takesOver && !request.move) {
    throw new AppError(
      "Conflict",
      `${what} already. Give --move to take it over as pool ${next.poolName} of node ${next.nodeName || "any"}, with the chunks on it`,
      { data: { device: device.id, label } },
    );
  }
  return {
    action: "relabel",
    label: next,
    erases: [],
    steps: [`change its label to ${labelText(next)}; its chunks stay`],
  };
}

function formatSteps(device: Device, label: DeviceLabel, content: readonly UseReason[]): string[] {
  const steps: string[] = [];
  if (label.kind === "zoned") {
    if (content.length > 0) steps.push("empty every zone");
    steps.push(`write the label, ${labelText(label)}, to its first two zones`);
  } else {
    if (content.length > 0) steps.push("write zeros over its first and its last MiB");
    steps.push("write zeros over the beginning of each segment of 64 MiB that is not zeros");
    steps.push(`write the label, ${labelText(label)}, to its last and its first 4096 bytes`);
  }
  return [...steps, `read the label back past the cache from ${device.path}`];
}

export interface ReleasePlan {
  label: DeviceLabel;
  steps: readonly string[];
}

/** The plan for releasing `device`. Throws `FailedPrecondition` saying why not. */
export function planRelease(device: Device): ReleasePlan {
  const { label } = device;
  if (label === undefined) {
    refuse(device, "ours", "can't be released");
    throw new AppError(
      "FailedPrecondition",
      `device ${device.id} carries no label of ours: there is nothing to release`,
    );
  }
  refuse(device, "active", "is in use and can't be released");
  const [where, segments] =
    label.kind === "zoned"
      ? ["empty the two zones of its label", "empty every other zone"]
      : ["write zeros over both copies of its label", "write zeros over the beginning of each of its segments"];
  return { label, steps: [`${where}, ${labelText(label)}`, segments, "read back that no label is left"] };
}

function refuse(device: Device, kind: UseReason["kind"], what: string): void {
  const reasons = device.inUse.filter((reason) => reason.kind === kind);
  if (reasons.length === 0) return;
  throw new AppError("FailedPrecondition", `device ${device.id} ${what}: ${details(reasons)}`, {
    data: { device: device.id, reasons },
  });
}

function details(reasons: readonly UseReason[]): string {
  return reasons.map(({ detail }) => detail).join("; ");
}
