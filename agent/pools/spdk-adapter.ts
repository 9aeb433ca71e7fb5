/**
 * Pools on namespaces that this process drives itself (`--pool NAME=spdk:ADDRESS/NSID`), with SPDK or the mock of it: the store's block and zoned
 * devices over `native-ffi/spdk`.
 */
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { FileSystem } from "@couchestor/common/runtime/file-system.ts";
import { type DriverKind, startDriver } from "@couchestor/native-ffi/spdk/driver.ts";
import { Namespace, parseNamespacePath } from "@couchestor/native-ffi/spdk/namespace.ts";
import { zoneAction } from "@couchestor/native-ffi/spdk/structs.ts";
import { parseZoneReport, type ReportedZone } from "@couchestor/native-ffi/spdk/zones.ts";
import type { BlockDevice } from "../store/medium.ts";
import type { Zone, ZonedDevice, ZoneState } from "../store/zoned-device.ts";
import type { UserSpaceMedia } from "./open-pool.ts";

export interface SpdkMediaOptions {
  engine: DriverKind;
  /** For the driver: `key=value,…`. */
  driverOptions: string;
  /** Where the locks of namespaces lie, which have no file of their own. */
  lockFolder: string;
  clock: Clock;
  fileSystem: FileSystem;
}

/** Starts the driver. Throws `FailedPrecondition` that says how to get it, or why it does not start. */
export function spdkMedia(options: SpdkMediaOptions): UserSpaceMedia {
  const { engine, driverOptions, lockFolder, clock, fileSystem } = options;
  const driver = startDriver(engine, driverOptions);
  const open = (path: string) => Namespace.open(driver, path, { clock });
  return async (path) => {
    parseNamespacePath(path);
    await fileSystem.makeDirectory(lockFolder);
    // Open while the pool is being opened, so that the controller is attached once.
    const namespace = open(path);
    const lock = join(lockFolder, `${path.replace("/", "-ns")}.lock`);
    const medium = namespace.info.zones
      ? { kind: "zoned" as const, path: lock, open: async () => spdkZonedDevice(open(path)) }
      : { kind: "block" as const, path: lock, open: async () => spdkBlockDevice(open(path)) };
    return { medium, release: () => namespace.close() };
  };
}

/** A conventional namespace as the store's block device. */
export function spdkBlockDevice(namespace: Namespace): BlockDevice {
  return {
    sizeBytes: namespace.info.sizeBytes,
    read: (into, offset) => namespace.read(into, offset),
    write: (buffers, offset) => namespace.write(buffers, offset),
    sync: () => namespace.flush(),
    checkPresent: async () => namespace.checkPresent(),
    close: () => namespace.close(),
  };
}

/** A zoned namespace as the store's zoned device. Throws `FailedPrecondition` for a namespace without zones. */
export function spdkZonedDevice(namespace: Namespace): ZonedDevice {
  const { zones, blockBytes } = namespace.info;
  if (zones === undefined) throw new AppError("FailedPrecondition", `${namespace.path} has no zones`);
  const { zoneBytes, count } = zones;
  const send = (action: number, zone: number, words: string) => namespace.zoneSend(action, zone * zoneBytes, words);
  return {
    zoneBytes,
    zoneCount: count,
    activeZonesMax: zones.activeMax,
    report: () => reportAll(namespace, count, zoneBytes, blockBytes),
    read: (zone, into, offset) => namespace.read(into, zone * zoneBytes + offset),
    write: (zone, buffers, offset) => namespace.write(buffers, zone * zoneBytes + offset, true),
    reset: (zone) => send(zoneAction.reset, zone, "reset a zone"),
    finish: (zone) => send(zoneAction.finish, zone, "finish a zone"),
    sync: () => namespace.flush(),
    checkPresent: async () => namespace.checkPresent(),
    close: () => namespace.close(),
  };
}

async function reportAll(namespace: Namespace, count: number, zoneBytes: number, blockBytes: number): Promise<Zone[]> {
  const zones: Zone[] = [];
  while (zones.length < count) {
    const page = parseZoneReport(await namespace.zoneReport(zones.length * zoneBytes));
    if (page.length === 0) {
      throw new AppError("Unavailable", `${namespace.path}: it reports ${zones.length} of its ${count} zones`);
    }
    zones.push(...page.map((zone) => zoneOf(zone, blockBytes)));
  }
  return zones.slice(0, count);
}

const states: Record<ReportedZone["state"], ZoneState> = {
  empty: "empty",
  open: "active",
  closed: "active",
  full: "full",
  "read-only": "read-only",
  offline: "offline",
  conventional: "conventional",
  // What the standard does not know is not written to, nor read from.
  unknown: "offline",
};

function zoneOf({ state, startBlock, capacityBlocks, writePointerBlock }: ReportedZone, blockBytes: number): Zone {
  const capacityBytes = capacityBlocks * blockBytes;
  const writtenBytes = ((writePointerBlock ?? startBlock + capacityBlocks) - startBlock) * blockBytes;
  const takesWrites = state === "empty" || state === "open" || state === "closed";
  return { state: states[state], capacityBytes, writtenBytes: takesWrites ? writtenBytes : capacityBytes };
}
