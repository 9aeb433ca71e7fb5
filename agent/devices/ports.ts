/** What finding, looking at and claiming devices needs of the world. Adapters: `sys-tree.ts` and `device-nodes-adapter.ts`. */
import type { DirectDevice } from "../pools/open-pool.ts";
import type { Zone } from "../store/zoned-device.ts";

/** One file as it was found. Empty is not missing, and neither is an error. */
export type SysFile =
  | { state: "read"; bytes: Uint8Array }
  | { state: "missing" }
  /** `code` is the system's (EACCES, EIO, ENXIO …) or `EFBIG` for one longer than allowed. */
  | { state: "failed"; code: string };

/** `/sys`, `/proc` and the folders of links in `/dev`: read with limits, never followed out of what was asked for. */
export interface SysTree {
  /** Names in a folder, sorted; empty if it is missing. Throws `FileSystemError` for any other reason, and for more than `namesMax` names. */
  list(path: string): Promise<string[]>;
  /** A whole file of at most `bytesMax` bytes (64 KiB unless told otherwise). Never throws. */
  read(path: string, bytesMax?: number): Promise<SysFile>;
  /** Where a path leads when all links in it are followed; undefined if nowhere. */
  resolve(path: string): Promise<string | undefined>;
  /** Writes to an attribute. Throws `FileSystemError`. */
  write(path: string, text: string): Promise<void>;
}

/** A zone as it is found, and where it begins. */
export type LookedZone = Zone & { readonly startBytes: number };

/** A device opened to look at what is on it; does not keep others from opening it. */
export interface ReadableDevice {
  readonly sizeBytes: number;
  /** Reads all of `into` at `offset`. Throws `FileSystemError`; EIO if the device has less. */
  read(into: Uint8Array, offset: number): Promise<void>;
  /** Of a zoned device: all its zones, as it reports them. Throws `FileSystemError`. */
  zones(): Promise<readonly LookedZone[]>;
  close(): Promise<void>;
}

/** Who may be kept from a device while it is looked at or written. */
export interface DeviceNodes {
  /** The number (`259:0`) of the block device at a path; undefined if there is nothing, `"other"` if it is no block device. */
  numberAt(path: string): Promise<string | undefined>;
  openToLook(path: string): Promise<ReadableDevice>;
  /**
   * Whether somebody has it open exclusively: a mount, swap, md, dm, ZFS, another agent. Asking takes it for a moment, so it is not asked of
   * devices that are known to be in use. Throws `FileSystemError` for anything but EBUSY.
   */
  isBusy(path: string): Promise<boolean>;
  /** Opens it for direct reading and writing, as its only such user. Throws `FileSystemError` EBUSY if there is one already. */
  openExclusive(path: string): Promise<DirectDevice & { readonly deviceNumber: string }>;
}
