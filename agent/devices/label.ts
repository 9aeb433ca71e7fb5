/**
 * The label of a claimed device is the superblock of the pool on it (`agent/store/superblock.ts`): versioned, with a CRC, kept twice, naming pool,
 * cluster and node. There is no second record that could disagree with it. Pure.
 */
import type { DeviceLabel, UseReason } from "@couchestor/common/api/devices.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { newestSuperblock, superblockBytes } from "../store/superblock.ts";
import type { Ends } from "./content.ts";

/** `unreadable`: a label of a newer program, which this one must leave alone. */
export type FoundLabel = { label: DeviceLabel } | { unreadable: string } | undefined;

/**
 * The label in the ends of a device: of a block device its first and last 4096 bytes; of a zoned one the newest of the logs in its two zones for it.
 * Copies that don't verify are no label.
 */
export function labelOf({ head, tail, sizeBytes, zoned }: Ends, checksum: Checksum): FoundLabel {
  const copies: Uint8Array[] = [];
  for (const log of zoned?.labelLogs ?? []) {
    for (let at = 0; at + superblockBytes <= log.byteLength; at += superblockBytes) {
      copies.push(log.subarray(at, at + superblockBytes));
    }
  }
  if (zoned === undefined) {
    const last = Math.floor(sizeBytes / superblockBytes) * superblockBytes - superblockBytes;
    const from = tail.byteLength - (sizeBytes - last);
    if (head.byteLength >= superblockBytes) copies.push(head.subarray(0, superblockBytes));
    if (from >= 0) copies.push(tail.subarray(from, from + superblockBytes));
  }
  try {
    const found = newestSuperblock(copies, checksum)?.superblock;
    if (found === undefined || found.kind === "directory") return undefined;
    const { poolUuid, poolName, clusterUuid, nodeName, kind } = found;
    return { label: { poolUuid, poolName, clusterUuid, nodeName, kind } };
  } catch (error) {
    if (isAppError(error, "IncompatibleVersion")) return { unreadable: error.message };
    throw error;
  }
}

/** The reason that a label is: the device is ours, and not free. */
export function labelReason(found: FoundLabel): UseReason | undefined {
  if (found === undefined) return undefined;
  if ("unreadable" in found) {
    return {
      kind: "ours",
      what: "pool",
      detail: `it holds a pool of another release: ${found.unreadable}`.slice(0, 256),
    };
  }
  return { kind: "ours", what: "pool", detail: labelText(found.label).slice(0, 256) };
}

/** `pool fast (6f1c…) of node n1, not bound to a cluster yet` */
export function labelText({ poolName, poolUuid, clusterUuid, nodeName }: DeviceLabel): string {
  const node = nodeName === "" ? "" : ` of node ${nodeName}`;
  const cluster = clusterUuid === zeroUuid ? "not bound to a cluster yet" : `cluster ${clusterUuid}`;
  return `pool ${poolName} (${poolUuid})${node}, ${cluster}`;
}
