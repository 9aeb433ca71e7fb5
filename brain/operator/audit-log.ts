/**
 * Who decided what and why, as JSON lines: what was decided on which figures, what became of it. Appended only; when the file is full it becomes
 * `FILE.1`, that one `FILE.2`, and so on, and the oldest goes. What can't be written is told in the log, and nothing waits for it.
 */
import { appendFile, mkdir, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { MigrationNews } from "../migration/ports.ts";
import type { PlanEntry } from "../tiering/model.ts";

export interface AuditDeps {
  clock: Clock;
  logger: Logger;
}

export interface AuditOptions {
  /** Undefined: nothing is written. */
  file: string | undefined;
  /** This brain, as in its lease. */
  identity: string;
  bytesMax?: number;
  /** Full files that are kept beside the present one. */
  filesKept?: number;
}

const bytesMaxDefault = 16 * 1024 * 1024;
const filesKeptDefault = 8;
const waitingMax = 10_000;

export class AuditLog {
  readonly #deps: AuditDeps;
  readonly #options: Required<AuditOptions>;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #bytes: number | undefined;
  /** The file may end in half a line. */
  #broken = false;
  #dropped = 0;

  constructor(deps: AuditDeps, options: AuditOptions) {
    this.#deps = deps;
    this.#options = { bytesMax: bytesMaxDefault, filesKept: filesKeptDefault, ...options };
  }

  /** Lines that were not written. */
  get dropped(): number {
    return this.#dropped;
  }

  /** A policy had a volume moved. */
  decided(entry: PlanEntry, { metadata, spec }: StoragePolicy, migration: string): void {
    const { volume, tier, target, heat, message, moves } = entry;
    this.#append({
      event: "Decided",
      decidedBy: { kind: "StoragePolicy", name: metadata.name, uid: metadata.uid, generation: metadata.generation },
      migration,
      volume: volume.name,
      volumeUuid: volume.uuid,
      claim: `${volume.claim.namespace}/${volume.claim.name}`,
      fromTier: tier,
      toTier: target,
      heat,
      watermarks: { high: spec.highWatermarkIOPS, warm: spec.warmWatermarkIOPS, low: spec.lowWatermarkIOPS },
      moves: moves.map(({ fromPool, toPool }) => ({ fromPool, toPool })),
      why: message,
    });
  }

  /** Something became of a migration. */
  news({ migration, volumeName, policyRef, reason, note }: MigrationNews): void {
    const decidedBy = policyRef === undefined ? { kind: "Person" } : { kind: "StoragePolicy", name: policyRef };
    this.#append({ event: reason, decidedBy, migration, volume: volumeName, why: note });
  }

  /** A person had it called off through this brain's API. */
  aborted(migration: string, volume: string): void {
    this.#append({ event: "AbortRequested", decidedBy: { kind: "Person" }, migration, volume });
  }

  /** Waits until everything so far is written. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  #append(what: Record<string, unknown>): void {
    const { file, identity } = this.#options;
    if (file === undefined) return;
    if (this.#waiting.length >= waitingMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(`${JSON.stringify({ time: isoNow(this.#deps.clock), brain: identity, ...what })}\n`);
    this.#writing ??= this.#writeAll(file).finally(() => {
      this.#writing = undefined;
    });
  }

  async #writeAll(file: string): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(file, lines.join(""));
      } catch (error) {
        this.#dropped += lines.length;
        // Some of it may stand there, in half a line; and the folder may have gone.
        this.#bytes = undefined;
        this.#broken = true;
        this.#deps.logger.error({ err: error, file, lines: lines.length }, "the audit log can't be written");
      }
    }
  }

  async #write(file: string, text: string): Promise<void> {
    if (this.#bytes === undefined) await mkdir(dirname(file), { recursive: true });
    this.#bytes ??= await stat(file).then(
      ({ size }) => size,
      () => 0,
    );
    const whole = this.#broken && this.#bytes > 0 ? `\n${text}` : text;
    const bytes = Buffer.byteLength(whole);
    if (this.#bytes > 0 && this.#bytes + bytes > this.#options.bytesMax) await this.#rotate(file);
    await appendFile(file, whole, { mode: 0o600 });
    this.#broken = false;
    this.#bytes += bytes;
  }

  async #rotate(file: string): Promise<void> {
    const { filesKept } = this.#options;
    const ignoreMissing = (error: NodeJS.ErrnoException): void => {
      if (error.code !== "ENOENT") throw error;
    };
    for (let n = filesKept - 1; n >= 1; n--) await rename(`${file}.${n}`, `${file}.${n + 1}`).catch(ignoreMissing);
    await rename(file, `${file}.1`).catch(ignoreMissing);
    this.#bytes = 0;
  }
}
