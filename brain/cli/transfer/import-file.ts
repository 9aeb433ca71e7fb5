/**
 * A file into a new volume, run by run. For each run the brain grants an act, the bytes go to the agent that encodes, and the answer
 * comes after the commit. Memory is bounded by one buffer of 1 MiB and a few requests; a run is hashed before it is sent and the
 * agent's hash of what arrived is compared. The same call again continues where the last one stopped.
 */
import type { CreateVolume, VolumeView } from "@couchestor/common/api/admin.ts";
import { type Code, formatCode } from "@couchestor/common/code/code.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { approximateBytes } from "@couchestor/common/units/bytes.ts";
import type { BrainClient } from "../brain-client.ts";
import { putBytes } from "./agent-calls.ts";
import { attemptsMax, pauseMs, worthRepeating } from "./retry.ts";
import { SourceFile } from "./source-file.ts";

export interface ImportOptions {
  client: BrainClient;
  clock: Clock;
  signal: AbortSignal;
  name: string;
  path: string;
  code: Code;
  stripeSizeBytes?: number | undefined;
  stripesPerRun?: number | undefined;
  placement?: CreateVolume["placement"] | undefined;
  /** Runs on their way at a time, 1 … 8. */
  runsInFlight: number;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Things a person may want to know: a retry, a continued import. */
  onNote?: (text: string) => void;
}

export interface ImportResult {
  volume: VolumeView;
  contentSha256: string;
  runs: number;
  /** Runs that an earlier call had already brought in. */
  runsAlreadyThere: number;
  bytesSent: number;
  /** Acts that were dropped or lost and done again. */
  retries: number;
  /** Of the agents that encoded: `isa-l 2.31.1`. */
  codecs: string[];
  seconds: number;
}

interface Tally {
  doneBytes: number;
  bytesSent: number;
  runsAlreadyThere: number;
  retries: number;
  codecs: Set<string>;
}

/** Imports the file. Throws what went wrong, with what to do next. */
export async function importFile(options: ImportOptions): Promise<ImportResult> {
  const startMs = options.clock.monotonicMs();
  const source = await SourceFile.open(options.path);
  try {
    const volume = await openVolume(options, source.sizeBytes);
    const tally: Tally = { doneBytes: 0, bytesSent: 0, runsAlreadyThere: 0, retries: 0, codecs: new Set() };
    const contentSha256 = await sendRuns(options, source, volume, tally);
    await source.checkUnchanged();
    const done = await complete(options, contentSha256);
    return {
      volume: done,
      contentSha256,
      runs: volume.runs.total,
      runsAlreadyThere: tally.runsAlreadyThere,
      bytesSent: tally.bytesSent,
      retries: tally.retries,
      codecs: [...tally.codecs].sort(),
      seconds: (options.clock.monotonicMs() - startMs) / 1000,
    };
  } finally {
    await source.close();
  }
}

/** Creates the volume, or takes up one whose import was not finished. */
async function openVolume(options: ImportOptions, sizeBytes: number): Promise<VolumeView> {
  const { client, name } = options;
  try {
    await client.createVolume({
      name,
      sizeBytes,
      code: options.code,
      importing: true,
      ...(options.stripeSizeBytes === undefined ? {} : { stripeSizeBytes: options.stripeSizeBytes }),
      ...(options.stripesPerRun === undefined ? {} : { stripesPerRun: options.stripesPerRun }),
      ...(options.placement === undefined ? {} : { placement: options.placement }),
    });
    return await client.volume(name);
  } catch (error) {
    if (!isAppError(error, "AlreadyExists") && !isAppError(error, "Conflict")) throw error;
    const volume = await client.volume(name);
    checkContinues(options, volume, sizeBytes);
    options.onNote?.(`volume ${name} is there already: going on with its import`);
    return volume;
  }
}

function checkContinues(options: ImportOptions, volume: VolumeView, sizeBytes: number): void {
  const refuse = (why: string): never => {
    throw new AppError(
      "AlreadyExists",
      `volume ${volume.name} exists: ${why}. Choose another name, or remove it: couchestor volume delete ${volume.name}`,
      { data: { volume: volume.name, phase: volume.phase } },
    );
  };
  if (volume.phase !== "Importing") refuse(`it is ${volume.phase}, so there is no import to go on with`);
  if (volume.sizeBytes !== sizeBytes) {
    refuse(
      `an import of ${approximateBytes(volume.sizeBytes)} (${volume.sizeBytes} bytes) was begun, this file has ${sizeBytes} bytes`,
    );
  }
  if (formatCode(volume.code) !== formatCode(options.code)) refuse(`it is encoded ${formatCode(volume.code)}`);
}

/** Hashes the runs in order and sends up to `runsInFlight` of them at a time. Returns the sha256 of the whole. */
async function sendRuns(options: ImportOptions, source: SourceFile, volume: VolumeView, tally: Tally): Promise<string> {
  const whole = new Bun.CryptoHasher("sha256");
  const runBytes = volume.stripeSizeBytes * volume.stripesPerRun;
  const inFlight = new Set<Promise<void>>();
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  try {
    for (let runIndex = 0; runIndex < volume.runs.total; runIndex++) {
      const offset = runIndex * runBytes;
      const length = Math.min(runBytes, source.sizeBytes - offset);
      const contentSha256 = await source.hashRange(offset, length, whole, signal);
      while (inFlight.size >= options.runsInFlight) await Promise.race(inFlight);
      const sent = sendRun({ ...options, signal }, source, { runIndex, offset, length, contentSha256 }, tally);
      const tracked: Promise<void> = sent.then(() => {
        inFlight.delete(tracked);
        tally.doneBytes += length;
        options.onProgress?.(tally.doneBytes, source.sizeBytes);
      });
      // The failure is seen by the race or by the last wait; here it only must not count as unhandled.
      tracked.catch(() => undefined);
      inFlight.add(tracked);
    }
    await Promise.all(inFlight);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(inFlight);
    throw options.signal.aborted ? new AppError("Cancelled", resumeText(options)) : error;
  }
  return whole.digest("hex");
}

interface Run {
  runIndex: number;
  offset: number;
  length: number;
  contentSha256: string;
}

/** One run, tried again with a new grant while that may help. */
async function sendRun(options: ImportOptions, source: SourceFile, run: Run, tally: Tally): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await sendOnce(options, source, run, tally);
    } catch (error) {
      if (options.signal.aborted || !worthRepeating(error)) throw error;
      await source.checkUnchanged();
      if (attempt >= attemptsMax) throw givenUp(options, run, error);
      tally.retries++;
      options.onNote?.(`run ${run.runIndex}: ${(error as Error).message}; trying again`);
      await options.clock.sleep(pauseMs(attempt), options.signal);
    }
  }
}

async function sendOnce(options: ImportOptions, source: SourceFile, run: Run, tally: Tally): Promise<void> {
  const { client, name, signal } = options;
  const grant = await client.encodeGrant(name, run.runIndex, run.contentSha256).catch((error: unknown) => {
    // From the brain it is the volume that is gone; from a mover, below, only the act.
    if (!isAppError(error, "NotFound")) throw error;
    throw new AppError("FailedPrecondition", `volume ${name} was deleted while it was imported`, { cause: error });
  });
  if (grant.state === "committed") {
    tally.runsAlreadyThere++;
    return;
  }
  if (grant.offsetBytes !== run.offset || grant.contentBytes !== run.length) {
    throw new AppError(
      "Internal",
      `run ${run.runIndex}: the brain wants bytes ${grant.offsetBytes}+${grant.contentBytes}, the file has ${run.offset}+${run.length} there`,
    );
  }
  const result = await putBytes(client.tls, grant.dataUrl, source.body(run.offset, run.length), run.length, signal);
  tally.bytesSent += run.length;
  if (result.contentSha256 !== run.contentSha256) {
    throw new AppError("Conflict", `the agent got other bytes than were read before (sha256 ${result.contentSha256})`);
  }
  if (result.result === "dropped")
    throw new AppError("Conflict", `the act was dropped: ${result.reason ?? "no reason given"}`);
  tally.codecs.add(result.codec);
}

function givenUp(options: ImportOptions, run: Run, error: unknown): AppError {
  const why = error instanceof Error ? error.message : String(error);
  return new AppError(
    "Unavailable",
    `run ${run.runIndex} failed ${attemptsMax} times, the last time: ${why}. ${resumeText(options)}`,
    {
      data: { run: run.runIndex, volume: options.name },
      cause: error,
    },
  );
}

function resumeText(options: ImportOptions): string {
  return `The runs that are in stay; the same command goes on: couchestor volume import ${options.name} --file ${options.path}`;
}

/** Marks the volume Ready. A lost answer is found out by looking. */
async function complete(options: ImportOptions, contentSha256: string): Promise<VolumeView> {
  const { client, name, clock, signal } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      await client.completeImport(name, contentSha256);
      return await client.volume(name);
    } catch (error) {
      const now = await client.volume(name).catch(() => undefined);
      if (now?.phase === "Ready" && now.contentSha256 === contentSha256) return now;
      if (signal.aborted || !worthRepeating(error) || attempt >= attemptsMax) throw error;
      await clock.sleep(pauseMs(attempt), signal);
    }
  }
}
