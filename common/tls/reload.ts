/** Certificates that are renewed on disk are taken without a restart: the files are looked at now and then. */
import type { Listener } from "../http/listener.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ShutdownGroup } from "../runtime/shutdown.ts";
import { loadTlsMaterial, type TlsFiles, type TlsMaterial, tlsFilesStamp } from "./material.ts";

interface Log {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const tlsLookEveryMs = 10_000;

/** One set of files with what was last read from them. */
export class WatchedTls {
  readonly #files: TlsFiles | undefined;
  #stamp = "";
  #material: TlsMaterial | undefined;
  /** Takes new certificates. */
  listener: Listener | undefined;

  constructor(files: TlsFiles | undefined) {
    this.#files = files;
  }

  get material(): TlsMaterial | undefined {
    return this.#material;
  }

  /** Reads the files if they changed. Throws what is wrong with them; what was read before stays in use. */
  async look(): Promise<boolean> {
    if (this.#files === undefined) return false;
    const stamp = await tlsFilesStamp(this.#files);
    if (stamp === this.#stamp) return false;
    const material = await loadTlsMaterial(this.#files);
    if (this.#material !== undefined) this.listener?.replaceTls(material);
    this.#material = material;
    this.#stamp = stamp;
    return true;
  }
}

/** Files that may change. */
export interface Watched {
  /** Reads them if they did, and says so. Throws what is wrong with them. */
  look(): Promise<boolean>;
}

/** Looks at the files until the shutdown. */
export function watchTls(
  watched: readonly Watched[],
  { clock, log }: { clock: Clock; log: Log },
  shutdown: Pick<ShutdownGroup, "add">,
): void {
  const stop = new AbortController();
  const watching = lookAgain(watched, clock, log, stop.signal);
  shutdown.add("tls", 1_000, () => {
    stop.abort();
    return watching;
  });
}

async function lookAgain(watched: readonly Watched[], clock: Clock, log: Log, signal: AbortSignal): Promise<void> {
  let failing = "";
  while (!signal.aborted) {
    await clock.sleep(tlsLookEveryMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const changed = await Promise.all(watched.map((one) => one.look()));
      if (changed.includes(true)) log.info({}, "new certificates or tokens are in use");
      failing = "";
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== failing) log.error({ reason }, "new certificates or tokens can't be used; the old ones stay");
      failing = reason;
    }
  }
}
