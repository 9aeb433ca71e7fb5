/** Reading a device's health records as a port, and why it may not work. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { DeviceCommandError } from "@couchestor/native-ffi/core/command-ports.ts";
import type { SmartReading } from "./reading.ts";

/** What to ask, and in which language. */
export interface SmartTarget {
  /** `/dev/nvme0` (the controller) or `/dev/sda`. */
  readonly path: string;
  /** `scsi`: the disk itself says whether it is behind an ATA port. */
  readonly language: "nvme" | "scsi";
}

export interface SmartReader {
  /** Throws `SmartReadError`. */
  read(target: SmartTarget): Promise<SmartReading>;
}

/**
 * `no-permission`: this process may not ask. `gone`: there is no such device any more. `silent`: it did not answer in time.
 * `unsupported`: a kind of device that keeps no records. `failed`: it was asked and the command failed.
 */
export type SmartFailure = "no-permission" | "gone" | "silent" | "unsupported" | "failed";

/** A look at a device that gave nothing. Its text says what to do. */
export class SmartReadError extends Error {
  override readonly name = "SmartReadError";
  readonly failure: SmartFailure;

  constructor(failure: SmartFailure, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.failure = failure;
  }
}

const failures: Readonly<Record<string, SmartFailure>> = {
  EACCES: "no-permission",
  EPERM: "no-permission",
  ENOENT: "gone",
  ENXIO: "gone",
  ENODEV: "gone",
  ENOTTY: "unsupported",
  EINVAL: "unsupported",
  EOPNOTSUPP: "unsupported",
  ENOSYS: "unsupported",
  ETIMEDOUT: "silent",
};

/** What an error of the system calls means for a look at the health of `path`. */
export function smartReadError(error: unknown, path: string): SmartReadError {
  if (error instanceof SmartReadError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  const failure =
    error instanceof FileSystemError
      ? (failures[error.code] ?? "failed")
      : error instanceof DeviceCommandError && error.isGone
        ? "gone"
        : "failed";
  return new SmartReadError(failure, explain(failure, path, detail), { cause: error });
}

function explain(failure: SmartFailure, path: string, detail: string): string {
  switch (failure) {
    case "no-permission":
      return `${path}: no permission to ask for its health (${detail}): run as root, or in a container as privileged with /dev mounted`;
    case "gone":
      return `${path}: there is no such device any more (${detail})`;
    case "unsupported":
      return `${path}: keeps no health records that could be asked for (${detail})`;
    default:
      return `${path}: its health could not be read (${detail})`;
  }
}
