/** Keeps what devices lack apart from what is wrong with them, page by page. */
import { DeviceCommandError } from "@couchestor/native-ffi/core/command-ports.ts";
import { SmartPageError } from "./page-bytes.ts";

/** Reads one page after the other: a page that the device lacks is noted as not reported, one that is broken as a problem. */
export class PageReader {
  readonly notReported: string[] = [];
  readonly problems: string[] = [];
  /** Pages that gave figures. */
  readCount = 0;

  /** What `read` gives, or undefined. Errors of the system, and a device that is gone, are thrown: no further page will come either. */
  page<Result>(name: string, read: () => Result): Result | undefined {
    try {
      const result = read();
      this.readCount++;
      return result;
    } catch (error) {
      if (error instanceof SmartPageError) this.problems.push(error.message);
      else if (!(error instanceof DeviceCommandError) || error.isGone) throw error;
      else if (error.isUnsupported) this.notReported.push(name);
      else this.problems.push(error.message);
      return undefined;
    }
  }
}
