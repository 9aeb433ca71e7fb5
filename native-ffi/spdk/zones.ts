/** NVMe's Report Zones page in words. Zoned Namespace Command Set 1.1, figures 36 to 38. */

const headBytes = 64;
const descriptorBytes = 64;
const typeSequential = 2;

export type ZoneStateName = "empty" | "open" | "closed" | "full" | "read-only" | "offline" | "conventional" | "unknown";

export interface ReportedZone {
  state: ZoneStateName;
  startBlock: number;
  capacityBlocks: number;
  /** Undefined where the device says none, as for a full zone. */
  writePointerBlock: number | undefined;
}

const states: Readonly<Record<number, ZoneStateName>> = {
  1: "empty",
  2: "open",
  3: "open",
  4: "closed",
  13: "read-only",
  14: "full",
  15: "offline",
};

/** The zones of a page; at most as many as the page has room for. */
export function parseZoneReport(page: Uint8Array): ReportedZone[] {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const count = Number(view.getBigUint64(0, true));
  const room = Math.floor((page.byteLength - headBytes) / descriptorBytes);
  return Array.from({ length: Math.min(count, room) }, (_, i) => {
    const at = headBytes + i * descriptorBytes;
    const isSequential = (view.getUint8(at) & 0x0f) === typeSequential;
    const pointer = view.getBigUint64(at + 24, true);
    return {
      state: isSequential ? (states[view.getUint8(at + 1) >> 4] ?? "unknown") : "conventional",
      capacityBlocks: Number(view.getBigUint64(at + 8, true)),
      startBlock: Number(view.getBigUint64(at + 16, true)),
      writePointerBlock: pointer <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(pointer) : undefined,
    };
  });
}
