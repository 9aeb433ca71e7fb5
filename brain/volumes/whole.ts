/**
 * Whether a volume is whole: each of its stripes is covered by a run that counts, and all shards of all of them are on pools that can be read now. It is
 * what one replica on such a volume is trusted by, so whatever isn't known (a run that was removed or changed by hand, a list that is not read yet, a
 * pool that has not been heard since the brain started) is not whole. Statuses of ECStripes don't say enough: they are written later, and of what is missing there is none.
 */
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import type { RunEntry } from "./run-entry.ts";
import { runJudge } from "./run-judge.ts";
import type { Services } from "./services.ts";
import { runCounts } from "./volume-rules.ts";

/** There may be many who ask, and with very many runs a look takes a while: a tenth of the time at most. */
const keptMsMin = 1_000;
const keptMsMax = 10_000;

export class WholeVolumes {
  readonly #services: Pick<Services, "catalogue" | "standings" | "context">;
  readonly #kept = new Map<string, { volumeUuid: string; whole: boolean; untilMs: number }>();

  constructor(services: Pick<Services, "catalogue" | "standings" | "context">) {
    this.#services = services;
  }

  /** Whether the volume of that name is whole, as of a second ago, of very many runs of ten seconds at most; undefined if none of that name is known. */
  isWhole(name: string): boolean | undefined {
    const { catalogue, context } = this.#services;
    const volume = catalogue.volumeByName(name);
    if (volume === undefined) {
      this.#kept.delete(name);
      return undefined;
    }
    const { volumeUuid } = volume.spec;
    const nowMs = context.clock.monotonicMs();
    const kept = this.#kept.get(name);
    if (kept?.volumeUuid === volumeUuid && nowMs < kept.untilMs) return kept.whole;
    const whole = this.#look(volume);
    const tookMs = context.clock.monotonicMs() - nowMs;
    const untilMs = nowMs + Math.min(keptMsMax, Math.max(keptMsMin, 10 * tookMs));
    this.#kept.set(name, { volumeUuid, whole, untilMs });
    return whole;
  }

  #look(volume: EcVolume): boolean {
    const { catalogue, standings } = this.#services;
    // One that is being deleted has all of its stripes yet, and in a moment none.
    if (volume.status?.phase !== "Ready") return false;
    const { volumeUuid } = volume.spec;
    const judge = runJudge((pool) => standings.standing(pool));
    let next = 0;
    for (const run of catalogue.runs.ofVolume(volumeUuid)) {
      if (run.firstStripe > next || catalogue.whyHeld(volumeUuid, run.name) !== undefined) return false;
      if (!isSound(run, judge)) return false;
      next = Math.max(next, run.firstStripe + run.stripeCount);
    }
    return next >= runCounts(volume.spec).stripes;
  }
}

/** What was never written is zeros, and lacks nothing. */
function isSound(run: RunEntry, judge: ReturnType<typeof runJudge>): boolean {
  const { state, uncertain } = judge(run);
  return !uncertain && (state === "Healthy" || state === "Unwritten");
}
