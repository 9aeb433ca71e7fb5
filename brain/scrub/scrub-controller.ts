/** Scrubs that were asked for, and the periodic one in the background. */

import { findingsPerActMax } from "@couchestor/common/api/acts.ts";
import type { ScrubReport } from "@couchestor/common/api/admin.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import type { ActRecord } from "../acts/act-record.ts";
import { gapsOf, stripesIn } from "../volumes/gaps.ts";
import type { Services } from "../volumes/services.ts";
import { scrubAndRepair } from "./scrub-run.ts";

export interface ScrubOptions {
  concurrency: number;
  /** A run not scrubbed for so long is scrubbed in the background; 0: never. */
  everyMs: number;
  /** How often the background looks for such a run. */
  lookEveryMs: number;
}

const jobsKeptMax = 32;
const jobsRunningMax = 4;
const failuresShownMax = 4;

interface Job {
  report: ScrubReport;
  startedMs: number;
  running: Set<ActRecord>;
  checked: number;
}

interface Target {
  volume: EcVolume;
  runName: string;
  stripes: number;
}

export class ScrubController {
  readonly #services: Services;
  readonly #options: ScrubOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #work = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  #nextLookMs: number | undefined;
  #background: Promise<void> | undefined;
  readonly totals = { stripes: 0, chunks: 0, bytes: 0, findings: 0, repaired: 0, unrepaired: 0 };

  constructor(services: Services, options: ScrubOptions) {
    this.#services = services;
    this.#options = options;
  }

  /** Starts a scrub of one volume or of all. Throws `NotFound`, or `Unavailable` while too many run. */
  start(request: { volume?: string | undefined; deep: boolean; repair: boolean }): ScrubReport {
    const running = [...this.#jobs.values()].filter((job) => job.report.state === "Running").length;
    if (running >= jobsRunningMax)
      throw new AppError("Unavailable", `${running} scrubs are running, at most ${jobsRunningMax} may`);
    const targets = this.#targets(request.volume);
    const { context } = this.#services;
    const report: ScrubReport = {
      id: context.prng.uuid(),
      state: "Running",
      deep: request.deep,
      startedAt: isoNow(context.clock),
      stripesTotal: targets.reduce((sum, t) => sum + t.stripes, 0),
      stripesChecked: 0,
      chunksChecked: 0,
      bytesRead: 0,
      findings: [],
      findingsTruncated: false,
      repaired: 0,
      unrepaired: 0,
    };
    const job: Job = { report, startedMs: context.clock.monotonicMs(), running: new Set(), checked: 0 };
    this.#jobs.set(report.id, job);
    this.#forgetOld();
    const work = this.#run(job, targets, request, this.#uncovered(request.volume)).finally(() =>
      this.#work.delete(work),
    );
    this.#work.add(work);
    return this.report(report.id);
  }

  /** Progress or result. Throws `NotFound`. */
  report(id: string): ScrubReport {
    const job = this.#jobs.get(id);
    if (!job) throw new AppError("NotFound", `scrub ${id}: there is none, or it is too long ago`);
    if (job.report.state !== "Running") return job.report;
    const now = [...job.running].reduce((sum, r) => sum + (r.state === "ended" ? 0 : r.stripesDone), 0);
    const stripesChecked = Math.min(job.report.stripesTotal, job.checked + now);
    const seconds = (this.#services.context.clock.monotonicMs() - job.startedMs) / 1000;
    const eta =
      stripesChecked > 0 ? (seconds / stripesChecked) * (job.report.stripesTotal - stripesChecked) : undefined;
    return { ...job.report, stripesChecked, ...(eta === undefined ? {} : { etaSeconds: eta }) };
  }

  get runningCount(): number {
    return [...this.#jobs.values()].filter((job) => job.report.state === "Running").length + (this.#background ? 1 : 0);
  }

  /** Starts the background scrub of the run that waits longest, when one is due. Call it often. */
  tick(): void {
    const { clock } = this.#services.context;
    const now = clock.monotonicMs();
    this.#nextLookMs ??= now + this.#options.lookEveryMs;
    if (this.#options.everyMs === 0 || this.#background || this.#abort.signal.aborted || now < this.#nextLookMs) return;
    this.#nextLookMs = now + this.#options.lookEveryMs;
    const target = this.#oldest(clock.wallMs());
    if (!target) return;
    this.#background = this.#one(target, { deep: false, repair: true })
      .then(() => {
        this.#nextLookMs = undefined;
      })
      .catch((error) =>
        this.#services.context.log.warn({ run: target.runName, error: String(error) }, "background scrub not done"),
      )
      .finally(() => {
        this.#background = undefined;
      });
  }

  /** Stops after the acts under way. */
  async stop(): Promise<void> {
    this.#abort.abort(new AppError("Cancelled", "the brain is shutting down"));
    await Promise.allSettled([...this.#work, this.#background]);
  }

  /** `leftOut`: what can't be checked at all, for a person. */
  async #run(
    job: Job,
    targets: Target[],
    options: { deep: boolean; repair: boolean },
    leftOut: readonly string[],
  ): Promise<void> {
    const { report } = job;
    const queue = [...targets];
    const failures = [...leftOut];
    const lane = async (): Promise<void> => {
      for (let target = queue.shift(); target; target = queue.shift()) {
        if (this.#abort.signal.aborted) return void failures.push("the brain is shutting down");
        try {
          await this.#one(target, options, job);
          job.checked += target.stripes;
        } catch (error) {
          failures.push(`${target.runName}: ${toAppError(error).message}`);
        }
      }
    };
    await Promise.all(Array.from({ length: this.#options.concurrency }, lane));
    report.finishedAt = isoNow(this.#services.context.clock);
    report.stripesChecked = job.checked;
    report.state = failures.length > 0 ? "Failed" : "Done";
    if (failures.length > 0)
      report.error = `not checked, ${failures.length} in all: ${failures.slice(0, failuresShownMax).join("; ")}`;
  }

  async #one(target: Target, options: { deep: boolean; repair: boolean }, job?: Job): Promise<void> {
    let current: ActRecord | undefined;
    const found = await scrubAndRepair(this.#services, target.volume, target.runName, {
      ...options,
      signal: this.#abort.signal,
      onStart: (record) => {
        if (current) job?.running.delete(current);
        current = record;
        job?.running.add(record);
      },
    }).finally(() => current && job?.running.delete(current));
    if (!found) return;
    this.totals.stripes += target.stripes;
    this.totals.chunks += found.chunksChecked;
    this.totals.bytes += found.bytesRead;
    this.totals.findings += found.findings.length;
    this.totals.repaired += found.repaired;
    this.totals.unrepaired += found.unrepaired;
    if (!job) return;
    const { report } = job;
    report.chunksChecked += found.chunksChecked;
    report.bytesRead += found.bytesRead;
    report.repaired += found.repaired;
    report.unrepaired += found.unrepaired;
    const room = findingsPerActMax - report.findings.length;
    report.findings.push(...found.findings.slice(0, room));
    report.findingsTruncated ||= found.truncated || found.findings.length > room;
  }

  #volumes(name: string | undefined): EcVolume[] {
    const { catalogue } = this.#services;
    return name === undefined ? catalogue.volumes() : [catalogue.volume(name)];
  }

  /** Volumes with stripes that no run covers, each as a sentence. */
  #uncovered(volumeName: string | undefined): string[] {
    return this.#volumes(volumeName).flatMap((volume) => {
      const gaps = gapsOf(this.#services, volume);
      const first = gaps[0];
      if (first === undefined) return [];
      const text = `volume ${volume.metadata.name}: no run covers ${stripesIn(gaps)} of its stripes, from stripe ${first.firstStripe} on`;
      return [`${text}; their ECStripes are gone: create them again as they were`];
    });
  }

  #targets(volumeName: string | undefined): Target[] {
    const { catalogue } = this.#services;
    return this.#volumes(volumeName)
      .filter((volume) => volume.status?.phase !== "Deleting")
      .flatMap((volume) =>
        catalogue.runs
          .ofVolume(volume.spec.volumeUuid)
          .filter((run) => run.generation > 0 || catalogue.whyHeld(run.volumeUuid, run.name) !== undefined)
          .map((run) => ({ volume, runName: run.name, stripes: run.stripeCount })),
      );
  }

  #oldest(nowMs: number): Target | undefined {
    const { catalogue } = this.#services;
    let oldest: { target: Target; atMs: number } | undefined;
    for (const run of catalogue.runs.all()) {
      const volume = catalogue.volumeByUuid(run.volumeUuid);
      const writtenMs = run.lastScrubIso === undefined ? 0 : Date.parse(run.lastScrubIso);
      // A time to come was written by a clock that was wrong: it says nothing.
      const atMs = writtenMs > nowMs ? 0 : writtenMs;
      if (run.generation === 0 || volume?.status?.phase !== "Ready" || atMs > nowMs - this.#options.everyMs) continue;
      if (oldest && oldest.atMs <= atMs) continue;
      // It could not be checked, and would be the oldest for ever.
      if (catalogue.whyHeld(run.volumeUuid, run.name) !== undefined) continue;
      oldest = { atMs, target: { volume, runName: run.name, stripes: run.stripeCount } };
    }
    return oldest?.target;
  }

  #forgetOld(): void {
    for (const [id, job] of this.#jobs) {
      if (this.#jobs.size <= jobsKeptMax) return;
      if (job.report.state !== "Running") this.#jobs.delete(must(id, "the scrub's id"));
    }
  }
}
