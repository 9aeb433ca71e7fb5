/**
 * What the zones of a device say about where to look on it: many host-managed disks begin with conventional zones, and what reads back from behind a
 * write pointer may be anything. Pure.
 */
import { lookBytes } from "./content.ts";
import type { LookedZone } from "./ports.ts";

const labelZoneCount = 2;

/** A part of a device, to be read. */
export interface Extent {
  offset: number;
  bytes: number;
}

/** Where the newest labels are: the last MiB before the write pointers of the first two zones that are written from front to back. */
export function labelExtents(zones: readonly LookedZone[]): Extent[] {
  const sequential = zones.filter(({ state }) => state !== "conventional").slice(0, labelZoneCount);
  return sequential.map((zone) => {
    const end = Math.floor(readableBytes(zone) / 4096) * 4096;
    const bytes = Math.min(end, lookBytes);
    return { offset: zone.startBytes + end - bytes, bytes };
  });
}

/** What of the first MiB was ever written: all of a conventional zone's, as nobody counts there. */
export function headExtent([first]: readonly LookedZone[]): Extent {
  return { offset: 0, bytes: first === undefined ? 0 : Math.min(readableBytes(first), lookBytes) };
}

/** How many zones hold something, others than conventional ones, which do not tell. */
export function writtenZones(zones: readonly LookedZone[]): number {
  return zones.filter(({ state }) => state === "active" || state === "full").length;
}

/** From the zone's beginning. One that the device holds read-only has no write pointer any more; what we look for is at its front. */
function readableBytes({ state, capacityBytes, writtenBytes }: LookedZone): number {
  if (state === "offline") return 0;
  return state === "read-only" ? Math.min(capacityBytes, lookBytes) : writtenBytes;
}
