/**
 * A device as this machine has it: what everybody may know (`DeviceInfo`) and what only the kernel here knows. Made by `discover.ts`; read by
 * health, claiming and pools. Nothing in it is invented: what the device does not tell is absent.
 */
import type { DeviceInfo } from "@couchestor/common/api/devices.ts";

/** What is known of an NVMe namespace beyond a disk. */
export interface NvmeFacts {
  /** Controllers that reach it, live ones first: `/dev/nvme0`. Admin commands and log pages go to the first; more than one is multipath. */
  controllers: readonly string[];
  namespaceId: number;
  /** Lower-case hexadecimal without separators; absent if the namespace has none. */
  nguid?: string;
  eui64?: string;
  /** `nqn.…` of its subsystem. */
  subsystemNqn?: string;
}

/** What is known of a SCSI or ATA disk beyond that. */
export interface ScsiFacts {
  /** host:channel:target:lun. */
  address: string;
  /** `/dev/sg0`; absent where the sg driver isn't loaded. SG_IO works on the device's own path as well. */
  sgPath?: string;
  vendor?: string;
  /** Behind an ATA port: SMART goes by ATA pass-through, not by log pages. */
  isAta: boolean;
}

export interface ZoneFacts {
  zoneCount: number;
  zoneBytes: number;
  /** Zones that may be open, or hold data and be unfinished, at once; absent: no limit. */
  openMax?: number;
  activeMax?: number;
  /** The most bytes one append may carry; absent: no appends. */
  appendBytesMax?: number;
}

export interface Device extends DeviceInfo {
  /** `nvme0n1`, as in `/sys/block`. */
  name: string;
  /** Its folder in sysfs, resolved: tells the slot that it sits in. */
  sysPath: string;
  /** `259:0`: which device a path must lead to when it is opened. */
  deviceNumber: string;
  /** Other names that lead to it: `/dev/disk/by-id/…` where there is udev. */
  byId: readonly string[];
  readOnly: boolean;
  removable: boolean;
  rotationRpm?: number;
  nvme?: NvmeFacts;
  scsi?: ScsiFacts;
  zones?: ZoneFacts;
  /** What could not be read of it, in words. */
  problems: readonly string[];
}

/** One reading of all devices. */
export interface Inventory {
  devices: readonly Device[];
  /** What was passed over, and why: hidden multipath paths, loop devices without a file … */
  skipped: readonly { name: string; why: string }[];
  /** What kept this reading from being whole: no /sys, no permission … */
  problems: readonly string[];
}
