/** One device as the health monitor remembers it, and its verdict out of that. Pure: what it is told comes with the time at which it was learnt. */
import type { DeviceHealth } from "@couchestor/common/api/devices.ts";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import type { Device } from "../model.ts";
import { defined } from "../smart/page-bytes.ts";
import type { SmartReading } from "../smart/reading.ts";
import type { SmartTarget } from "../smart/smart-reader.ts";
import { type Finding, poolFindings, smartFindings } from "./findings.ts";
import { GrowthWatch } from "./growth.ts";
import { type IoStat, ioBetween } from "./io-stat.ts";
import { type LatencySample, SlownessWatch } from "./latency.ts";
import type { HealthLimits } from "./limits.ts";
import { afterLook, type Memory, verdictOf } from "./verdict.ts";

const reasonsMax = 16;
/** How long the pool of a disk that is back may take to be opened before it counts against the disk. */
const poolReopenMsMax = 60_000;
const reasonCharactersMax = 256;

/** Whom to ask about the device's health; undefined for one that keeps no records, such as a virtio disk. */
export function targetOf({ nvme, scsi, path }: Device): SmartTarget | undefined {
  const controller = nvme?.controllers[0];
  if (controller !== undefined) return { path: controller, language: "nvme" };
  return scsi === undefined ? undefined : { path, language: "scsi" };
}

export class WatchedDevice {
  device: Device;
  /** When it is to be asked next, monotonic. */
  dueMs = 0;
  /** A question is under way. */
  asking = false;
  readonly #limits: HealthLimits;
  #memories: Record<"smart" | "pool" | "io", Memory> = { smart: new Map(), pool: new Map(), io: new Map() };
  #reading: SmartReading | undefined;
  #unread: string | undefined;
  #gone: { sinceMs: number; why: string; isListed: boolean } | undefined;
  /** It was away, and its pool has not been Online since; and since when that is looked at. */
  #isBack = false;
  #backMs: number | undefined;
  readonly #growth = {
    mediaErrors: new GrowthWatch(),
    reallocatedSectors: new GrowthWatch(),
    ioErrors: new GrowthWatch(),
  };
  readonly #slowness = new SlownessWatch();
  #stat: { at: IoStat; progressMs: number } | undefined;

  constructor(device: Device, limits: HealthLimits) {
    this.device = device;
    this.#limits = limits;
    if (targetOf(device) === undefined) this.#unread = "keeps no health records";
  }

  get goneSinceMs(): number | undefined {
    return this.#gone?.sinceMs;
  }

  /** It is no longer there; or the system lists it still (`isListed`) but it answers nobody, which only an answer ends. */
  isGone(why: string, nowMs: number, isListed: boolean): void {
    this.#gone = { why, isListed, sinceMs: this.#gone?.sinceMs ?? nowMs };
  }

  /** It is there. After an absence everything that was measured is measured anew; what it said of itself stays until it says otherwise. */
  isThere(device: Device): void {
    // Operations, done and failed, are counted by path: those under another one may be another disk's.
    if (device.path !== this.device.path) this.#countAnew();
    this.device = device;
    if (this.#gone === undefined || this.#gone.isListed) return;
    this.#gone = undefined;
    this.#countAnew();
    this.#memories = { ...this.#memories, pool: new Map(), io: new Map() };
    this.#isBack = true;
    this.dueMs = 0;
  }

  #countAnew(): void {
    this.#stat = undefined;
    this.#growth.ioErrors = new GrowthWatch();
  }

  /** A look at its records that gave something. */
  read(reading: SmartReading, nowMs: number): void {
    this.#reading = reading;
    this.#unread = undefined;
    this.#gone = undefined;
    this.#growth.mediaErrors.note(reading.mediaErrors, nowMs);
    this.#growth.reallocatedSectors.note(reading.reallocatedSectors, nowMs);
    this.#look("smart", smartFindings(reading, this.#grown(), this.#limits), nowMs);
  }

  /** A look that failed: it says nothing about the device's health, only that it is not known. */
  unreadable(why: string): void {
    this.#unread = why;
  }

  /** The pool on it, and the reads and writes of that pool that have failed so far. */
  pool(pool: PoolInfo | undefined, ioErrors: number | undefined, nowMs: number): void {
    this.#growth.ioErrors.note(ioErrors, nowMs);
    if (this.#isReturning(pool, nowMs)) return;
    this.#look("pool", poolFindings(pool, this.#grown(), this.#limits), nowMs);
  }

  /** The pool of a disk that was pulled out failed with it, which condemns nobody: once the disk is back its pool has some time to be opened. */
  #isReturning(pool: PoolInfo | undefined, nowMs: number): boolean {
    if (!this.#isBack) return false;
    this.#backMs ??= nowMs;
    if (pool?.state !== "Online" && nowMs - this.#backMs < poolReopenMsMax) return true;
    this.#isBack = false;
    this.#backMs = undefined;
    return false;
  }

  /** The kernel's counts now; returns what happened since the last look, to be compared with other devices. */
  io(stat: IoStat | undefined, nowMs: number): LatencySample | undefined {
    const before = this.#stat;
    if (stat === undefined) {
      this.#stat = undefined;
      return undefined;
    }
    const between = before && ioBetween(before.at, stat);
    const isBusy = stat.inFlight > 0 && between?.finished === 0;
    this.#stat = { at: stat, progressMs: isBusy && before ? before.progressMs : nowMs };
    if (between === undefined) return undefined;
    return { id: this.device.id, rotational: this.device.rotational ?? false, ...between };
  }

  /** Whether it was slow in the interval that `io` gave; undefined: it had too little to do to tell. */
  slow(why: string | undefined, wasIdle: boolean, nowMs: number): void {
    if (!wasIdle) this.#slowness.note(why !== undefined);
    const findings: Finding[] = [];
    const { level } = this.#slowness;
    if (level !== undefined) {
      findings.push({
        code: "slow",
        level,
        text: `slow for some time: ${why ?? "far slower than others"}`,
        isCertain: true,
      });
    }
    const stuckMs = this.#stat === undefined ? 0 : nowMs - this.#stat.progressMs;
    if (stuckMs >= this.#limits.hungMs) {
      const text = `has finished nothing for ${Math.round(stuckMs / 1000)} s with operations under way`;
      findings.push({ code: "hung", level: "failing", text, isCertain: true });
    }
    this.#look("io", findings, nowMs);
  }

  health(): DeviceHealth {
    const figures = this.#figures();
    const text = (reasons: readonly string[]) =>
      reasons.slice(0, reasonsMax).map((r) => r.slice(0, reasonCharactersMax));
    if (this.#gone) return { state: "Gone", reasons: text([this.#gone.why]), ...figures };
    const { state, reasons } = verdictOf(Object.values(this.#memories));
    if (state !== "Healthy") return { state, reasons: text(reasons), ...figures };
    const unknown = this.#whyUnknown();
    if (unknown !== undefined) return { state: "Unknown", reasons: text([unknown]), ...figures };
    return { state, reasons: [], ...figures };
  }

  /** Why nothing is known of it; undefined if something is. */
  #whyUnknown(): string | undefined {
    if (this.#reading === undefined) return this.#unread ?? "not looked at yet";
    const { passed, warnings, notReported, problems, protocol, ...figures } = this.#reading;
    if (passed !== undefined || Object.keys(figures).length > 0) return undefined;
    return problems[0] ?? `reports nothing of its health (${notReported.join(", ")}: not there)`;
  }

  #figures(): Omit<DeviceHealth, "state" | "reasons"> {
    const { temperatureCelsius, wearRatio, spareRatio, spareThresholdRatio } = this.#reading ?? {};
    const { mediaErrors, reallocatedSectors, powerOnHours, unsafeShutdowns } = this.#reading ?? {};
    return defined({
      temperatureCelsius,
      wearRatio,
      spareRatio,
      spareThresholdRatio,
      mediaErrors,
      reallocatedSectors,
      powerOnHours,
      unsafeShutdowns,
    });
  }

  #grown() {
    const { mediaErrors, reallocatedSectors, ioErrors } = this.#growth;
    return defined({
      mediaErrors: mediaErrors.growth,
      reallocatedSectors: reallocatedSectors.growth,
      ioErrors: ioErrors.growth,
    });
  }

  #look(source: "smart" | "pool" | "io", findings: readonly Finding[], nowMs: number): void {
    this.#memories[source] = afterLook(this.#memories[source], findings, nowMs, this.#limits);
  }
}
