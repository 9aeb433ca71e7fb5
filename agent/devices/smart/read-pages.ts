/** Keeps what devices lack apart from what is wrong with them, page by page. */
import { NvmeStatusError } from "@couchestor/native-ffi/nvme/status.ts";
import { ScsiError } from "@couchestor/native-ffi/scsi/sense.ts";
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
      else if ((error instanceof NvmeStatusError || error instanceof ScsiError) && error.isUnsupported) {
        this.notReported.push(name);
      } else if (error instanceof NvmeStatusError || (error instanceof ScsiError && !error.isGone)) {
        this.problems.push(error.message);
      } else throw error;
      return undefined;
    }
  }
}
