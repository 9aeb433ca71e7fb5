/** What the steps of the demo share. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { BrainClient } from "../cli/brain-client.ts";
import type { Output } from "../cli/output.ts";
import type { Standalone } from "../standalone/start.ts";
import type { DemoFile } from "./image.ts";
import type { Story } from "./story.ts";

export interface Stage {
  story: Story;
  output: Output;
  clock: Clock;
  signal: AbortSignal;
  /** The demo's own folder, removed at the end. */
  dir: string;
  cluster: Standalone;
  client: BrainClient;
  file: DemoFile;
  fileBytes: number;
  /** sha256 (hex) of the file, as the import saw it. */
  sha256: string;
}

export const volumeName = "demo";

/** Folders of all pools, or of those of some nodes. */
export function poolFolders(stage: Pick<Stage, "cluster">, nodes?: readonly string[]): string[] {
  return stage.cluster.agents
    .filter((agent) => nodes === undefined || nodes.includes(agent.name))
    .flatMap((agent) => agent.pools.map((pool) => pool.path));
}

/** Looks again and again until `seen` says what it waited for. Throws at `timeoutMs`. */
export async function waitUntil<T>(
  stage: Pick<Stage, "clock" | "signal">,
  what: string,
  timeoutMs: number,
  seen: () => Promise<T | undefined>,
): Promise<T> {
  const untilMs = stage.clock.monotonicMs() + timeoutMs;
  for (;;) {
    const value = await seen();
    if (value !== undefined) return value;
    if (stage.clock.monotonicMs() > untilMs) throw new Error(`${what} did not happen within ${timeoutMs / 1000} s`);
    await stage.clock.sleep(100, stage.signal);
  }
}
