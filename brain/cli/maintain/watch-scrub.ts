/** Starts a scrub and waits for its end. */
import type { ScrubReport } from "@couchestor/common/api/admin.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { BrainClient } from "../brain-client.ts";

const lookEveryMs = 150;

export interface ScrubOptions {
  client: BrainClient;
  clock: Clock;
  signal: AbortSignal;
  volume?: string | undefined;
  deep: boolean;
  repair: boolean;
  onProgress?: (report: ScrubReport) => void;
}

/** The finished report. The scrub goes on in the brain if the caller gives up. */
export async function runScrub(options: ScrubOptions): Promise<ScrubReport> {
  const { client, volume, deep, repair } = options;
  let report = await client.startScrub({ ...(volume === undefined ? {} : { volume }), deep, repair });
  while (report.state === "Running") {
    options.onProgress?.(report);
    await options.clock.sleep(lookEveryMs, options.signal);
    report = await client.scrub(report.id);
  }
  return report;
}
