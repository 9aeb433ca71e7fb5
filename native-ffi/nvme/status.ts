/** What an NVMe controller answers when it refuses a command: status code and type as in "Completion Queue Entry: Status Field" of the NVMe base specification. */
import { DeviceCommandError } from "../core/command-ports.ts";

const words: Readonly<Record<number, string>> = {
  1: "invalid command opcode",
  2: "invalid field in the command",
  4: "data transfer error",
  6: "internal error",
  7: "command aborted",
  11: "invalid namespace or format",
  19: "invalid use of the controller memory buffer",
  29: "sanitize in progress",
  265: "invalid log page",
  266: "invalid format",
  641: "unrecovered read error",
  880: "path error",
};

/** Statuses by which a controller says that it does not have an optional command, page or identity at all. */
const unsupported: ReadonlySet<number> = new Set([0x001, 0x002, 0x00b, 0x109]);

/** A command that the controller itself refused or failed. */
export class NvmeStatusError extends DeviceCommandError {
  override readonly name = "NvmeStatusError";
  /** Status code type in bits 8–10 and status code in bits 0–7; the retry and "more" bits are taken out. */
  readonly status: number;

  constructor(operation: string, path: string, rawStatus: number) {
    const status = rawStatus & 0x7ff;
    const text = `${words[status] ?? "the controller refused it"} (NVMe status 0x${status.toString(16)})`;
    super(operation, path, text, { unsupported: unsupported.has(status), gone: false });
    this.status = status;
  }
}
