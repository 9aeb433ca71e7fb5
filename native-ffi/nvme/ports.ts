/** NVMe administration as the agent sees it. Every call blocks until the device answers: off the event loop in a worker, except at start. */

export interface NvmeAdminCommand {
  readonly opcode: number;
  readonly nsid: number;
  readonly cdw10?: number;
  readonly cdw11?: number;
  readonly cdw12?: number;
  readonly cdw13?: number;
  readonly cdw14?: number;
  /** Where the device's data goes; a command without it moves none. */
  readonly into?: Uint8Array;
  readonly timeoutMs: number;
}

export interface IdentifyRequest {
  /** Controller or Namespace Structure: 0 namespace, 1 controller, 3 namespace descriptors, 5 and 6 the same of a command set. */
  readonly cns: number;
  /** 0 where the structure is not a namespace's. */
  readonly nsid: number;
  /** Command set: 0 NVM, 2 zoned; 0 if not given. */
  readonly csi?: number;
}

export interface LogPageRequest {
  /** Log identifier: 2 health, 5 commands supported, 6 self-test, 9 endurance group. */
  readonly page: number;
  /** 0xffffffff, the default: the whole controller. */
  readonly nsid?: number;
  /** A whole number of dwords, 4 to 65,536. */
  readonly bytes: number;
}

/** One open controller or namespace. A refused command throws `NvmeStatusError`, anything else `FileSystemError` with the system's code. */
export interface NvmeDevice {
  readonly path: string;
  /** What the commands go through. */
  readonly via: "libnvme" | "ioctl";
  /** The 4096 bytes of an identify structure. */
  identify(request: IdentifyRequest): Uint8Array;
  /** The page's bytes, as many as were asked for. */
  logPage(request: LogPageRequest): Uint8Array;
  /** The namespace that this block device is; ENOTTY for a controller's character device. */
  namespaceId(): number;
  close(): void;
}
