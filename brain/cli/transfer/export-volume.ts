/**
 * A volume, or a range of it, into a file or a stream. Bytes are asked for in windows of 16 MiB, a few at a time, each from whichever
 * agent the brain names; a window that fails is asked for again, elsewhere if its agent died. Memory is bounded by the windows.
 */
import type { VolumeView } from "@couchestor/common/api/admin.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { BrainClient, Reader } from "../brain-client.ts";
import { getBytes } from "./agent-calls.ts";
import { attemptsMax, pauseMs, worthRepeating } from "./retry.ts";

export interface ExportOptions {
  client: BrainClient;
  clock: Clock;
  signal: AbortSignal;
  name: string;
  offset?: number | undefined;
  length?: number | undefined;
  /** Takes the bytes in order; `offset` counts from the first byte asked for. */
  sink: (bytes: Uint8Array, offset: number) => Promise<void> | void;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
  onNote?: (text: string) => void;
}

export interface ExportResult {
  volume: VolumeView;
  offset: number;
  length: number;
  /** sha256 (hex) of the bytes given to the sink. */
  sha256: string;
  /** Whether it was compared with the volume's own and is equal; undefined if only a part was read or the volume's is not known. */
  matches: boolean | undefined;
  /** Windows that were asked for again. */
  retries: number;
  /** Nodes that the bytes came from. */
  readers: string[];
  seconds: number;
}

const windowBytes = 16 * 1024 * 1024;
const windowsInFlight = 3;

/** Reads the bytes and hands them to the sink in order. Throws `Unrecoverable` naming the stripes where too many shards are lost. */
export async function exportVolume(options: ExportOptions): Promise<ExportResult> {
  const startMs = options.clock.monotonicMs();
  const volume = await options.client.volume(options.name);
  const range = checkRange(options, volume);
  const stop = new AbortController();
  const readers = new ReaderChoice({ ...options, signal: AbortSignal.any([options.signal, stop.signal]) });
  const hasher = new Bun.CryptoHasher("sha256");
  const queue: Promise<Uint8Array>[] = [];
  let asked = 0;
  const ask = (): void => {
    const length = Math.min(windowBytes, range.length - asked);
    const window = readers.read(range.offset + asked, length);
    window.catch(() => undefined); // awaited in order below
    queue.push(window);
    asked += length;
  };
  try {
    for (let done = 0; done < range.length; ) {
      while (queue.length < windowsInFlight && asked < range.length) ask();
      const bytes = await (queue.shift() as Promise<Uint8Array>);
      hasher.update(bytes);
      await options.sink(bytes, done);
      done += bytes.length;
      options.onProgress?.(done, range.length);
    }
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(queue);
    throw options.signal.aborted ? new AppError("Cancelled", "stopped on request", { cause: error }) : error;
  }
  const sha256 = hasher.digest("hex");
  const whole = range.offset === 0 && range.length === volume.sizeBytes && volume.contentSha256 !== undefined;
  return {
    volume,
    ...range,
    sha256,
    matches: whole ? sha256 === volume.contentSha256 : undefined,
    retries: readers.retries,
    readers: [...readers.used].sort(),
    seconds: (options.clock.monotonicMs() - startMs) / 1000,
  };
}

function checkRange(options: ExportOptions, volume: VolumeView): { offset: number; length: number } {
  if (volume.phase === "Importing" || volume.phase === "Deleting") {
    throw new AppError(
      "FailedPrecondition",
      `volume ${volume.name} is ${volume.phase}; it can be read when it is Ready${volume.phase === "Importing" ? " (finish its import: the same `volume import` command goes on)" : ""}`,
    );
  }
  const offset = options.offset ?? 0;
  const length = options.length ?? Math.max(0, volume.sizeBytes - offset);
  if (offset + length > volume.sizeBytes || length < 1) {
    throw new AppError(
      "InvalidArgument",
      `bytes ${offset} to ${offset + length}: volume ${volume.name} has ${volume.sizeBytes} bytes, and at least one must be asked for`,
      {
        data: { offset, length, sizeBytes: volume.sizeBytes },
      },
    );
  }
  return { offset, length };
}

/** Knows which agent to ask, and asks the brain for another one when that fails. */
class ReaderChoice {
  readonly used = new Set<string>();
  retries = 0;
  readonly #options: ExportOptions;
  #reader: Promise<Reader> | undefined;

  constructor(options: ExportOptions) {
    this.#options = options;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { clock, signal, onNote } = this.#options;
    let unrecoverable = 0;
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      let reader: Reader | undefined;
      try {
        reader = await this.#current();
        const bytes = await getBytes(this.#options.client.tls, reader, { offset, length }, signal);
        this.used.add(reader.nodeName);
        return bytes;
      } catch (error) {
        if (signal.aborted || !worthRepeating(error) || attempt >= attemptsMax) throw error;
        // A second opinion, as the first agent's map may be old; not a third.
        if (isAppError(error, "Unrecoverable") && ++unrecoverable > 1) throw error;
        this.retries++;
        onNote?.(`${reader?.nodeName ?? "brain"}: ${(error as Error).message}; trying again`);
        this.#forget(reader);
        await clock.sleep(pauseMs(attempt), signal);
      }
    }
  }

  #current(): Promise<Reader> {
    this.#reader ??= this.#options.client.reader(this.#options.name);
    return this.#reader;
  }

  #forget(failed: Reader | undefined): void {
    const held = this.#reader;
    if (held === undefined) return;
    this.#reader = undefined;
    // Another window may have found a new reader meanwhile: keep that one.
    void held.then(
      (reader) => {
        if (failed !== undefined && reader.url !== failed.url) this.#reader ??= held;
      },
      () => undefined,
    );
  }
}
