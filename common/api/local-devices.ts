/**
 * The devices of this machine, as a port: the command line asks, the agent's package answers. Everything here needs the machine itself; what other
 * nodes have comes by their heartbeats.
 */
import type { DeviceHealth, DeviceInfo, DeviceLabel } from "./devices.ts";

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

/** What an NVMe namespace and its controller say when they are asked, beyond what the kernel keeps. */
export interface NvmeIdentity {
  /** What asked: libnvme where it is installed, the kernel's ioctl otherwise. */
  via: "libnvme" | "ioctl";
  /** Of the specification: `1.4`. */
  version?: string;
  /** The most bytes of one command. */
  transferBytesMax?: number;
  /** All that the controller has, namespaces and unallocated space together. */
  controllerBytes?: number;
  /** What the namespace has allocated to hold data. */
  usedBytes: number;
  /** Block formats that it could have, by the maker's own judgement of their speed. */
  formats: readonly {
    blockBytes: number;
    metadataBytes: number;
    performance: "best" | "better" | "good" | "degraded";
    inUse: boolean;
  }[];
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

/** A device as this machine has it: what everybody may know, and what only the kernel here knows. What the device does not tell is absent. */
export interface LocalDevice extends DeviceInfo {
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
export interface LocalInventory {
  devices: readonly LocalDevice[];
  /** What was passed over, and why: hidden multipath paths, loop devices without a file … */
  skipped: readonly { name: string; why: string }[];
  /** What kept this reading from being whole: no /sys, no permission … */
  problems: readonly string[];
}

export interface ClaimOrder {
  poolName: string;
  /** The node whose agent may open it; empty: whichever does first. */
  nodeName: string;
  /** Undefined: the cluster of the brain that the agent first speaks to. */
  clusterUuid: string | undefined;
  /** Whether what lies on the device may be erased. */
  wipe: boolean;
  /** Whether a device that is claimed for another node or under another pool name is taken over, with its chunks. */
  move: boolean;
}

/** What claiming would do. `format`: erase and write a label. `relabel`: only the names in the label change. `none`: it is so already. */
export interface ClaimAnswer {
  device: LocalDevice;
  action: "format" | "relabel" | "none";
  label: DeviceLabel;
  /** What is lost, for people; empty if nothing is. */
  erases: readonly string[];
  /** The steps in their order, for people. */
  steps: readonly string[];
}

export interface ReleaseAnswer {
  device: LocalDevice;
  label: DeviceLabel;
  steps: readonly string[];
  /** Segments that hold chunks, all of which are lost by a release. */
  segments: number;
}

/** What a device says of its health, read just now. */
export interface HealthAnswer {
  device: LocalDevice;
  health: DeviceHealth;
  /** Of an NVMe device that answered. */
  nvme?: NvmeIdentity;
}

export interface Effects {
  /** Nothing is written. */
  dryRun: boolean;
  onProgress?(done: number, total: number): void;
  signal: AbortSignal;
}

/** Throws `AppError`s that name the device, say why not, and what to do. */
export interface LocalDevices {
  /** All devices, with what is on them. Never throws: what was wrong is in `problems`. */
  list(): Promise<LocalInventory>;
  health(id: string): Promise<HealthAnswer>;
  /** Shows (`dryRun`), or does. */
  claim(id: string, order: ClaimOrder, effects: Effects): Promise<ClaimAnswer>;
  /** Shows how many segments would be lost, or does it; with segments only if `destroyData`. */
  release(id: string, destroyData: boolean, effects: Effects): Promise<ReleaseAnswer>;
  /** Makes a light blink until the signal or `forMs`. Returns which; `activity` reads from the device where there is no light to switch. */
  blink(id: string, options: { forMs: number; activity: boolean; signal: AbortSignal }): Promise<{ by: string }>;
  close(): void;
}
