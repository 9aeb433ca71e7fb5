/** What an act has done so far, for its progress and its report. */
import type { ActCounts, ActTask } from "@couchestor/common/api/acts.ts";
import { rebuildPlan } from "./rebuild-plan.ts";

export class ActMeter {
  readonly stripesTotal: number;
  stripes = 0;
  chunksRead = 0;
  chunksPut = 0;
  bytesRead = 0;
  bytesWritten = 0;
  /** Bytes that came from or went to anywhere: shows that the act is alive. */
  bytesMoved = 0;

  constructor(stripesTotal: number) {
    this.stripesTotal = stripesTotal;
  }

  read(counts: { chunksRead: number; bytesRead: number }): void {
    this.chunksRead += counts.chunksRead;
    this.bytesRead += counts.bytesRead;
    this.bytesMoved += counts.bytesRead;
  }

  wrote(counts: { chunksPut: number; bytesWritten: number }): void {
    this.chunksPut += counts.chunksPut;
    this.bytesWritten += counts.bytesWritten;
    this.bytesMoved += counts.bytesWritten;
  }

  counts(): ActCounts {
    const { stripes, chunksRead, chunksPut, bytesRead, bytesWritten } = this;
    return { stripes, chunksRead, chunksPut, bytesRead, bytesWritten };
  }
}

/** How many stripes an act goes through. */
export function stripesOf(task: ActTask): number {
  if (task.kind === "encode") return task.stripeCount;
  return task.kind === "scrub" ? task.run.stripeCount : rebuildPlan(task).length;
}
