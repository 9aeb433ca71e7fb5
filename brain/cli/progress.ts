/** Progress with rate and ETA: a moving bar on a terminal, a line every few seconds elsewhere. Always on stderr. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { approximateBytes } from "@couchestor/common/units/bytes.ts";
import type { TextStream } from "./text-stream.ts";

export interface ProgressOptions {
  label: string;
  total: number;
  unit: "bytes" | "stripes" | "runs" | "segments";
}

export interface Progress {
  /** `total` may become known, or grow, on the way. `etaSeconds` replaces our own estimate where the other side has a better one. */
  update(done: number, more?: { total?: number; etaSeconds?: number | undefined }): void;
  /** Ends the bar; on a terminal its line is removed when `remove`. */
  stop(options?: { remove?: boolean }): void;
}

const redrawEveryMs = 100;
const lineEveryMs = 5_000;
const barCharacters = 28;

/** Begins a progress display. Nothing is shown before the first update. */
export function createProgress(options: ProgressOptions, stream: TextStream, clock: Clock): Progress {
  const startMs = clock.monotonicMs();
  let lastMs = stream.isTty ? Number.NEGATIVE_INFINITY : startMs;
  let total = options.total;
  let shown = "";
  let latest = "";
  const show = (): void => {
    if (stream.isTty) stream.write(`\r\x1b[2K${latest}`);
    else stream.write(`${latest}\n`);
    shown = latest;
  };
  return {
    update(done, more = {}) {
      total = more.total ?? total;
      const nowMs = clock.monotonicMs();
      const eta = more.etaSeconds ?? estimate(done, total, nowMs - startMs);
      latest = progressText(
        { ...options, total },
        done,
        (nowMs - startMs) / 1000,
        eta,
        stream.isTty ? stream.columns : 0,
      );
      if (nowMs - lastMs < (stream.isTty ? redrawEveryMs : lineEveryMs)) return;
      lastMs = nowMs;
      show();
    },
    stop({ remove = false } = {}) {
      if (!stream.isTty) return;
      if (remove && shown !== "") return stream.write("\r\x1b[2K");
      if (latest !== "") {
        show();
        stream.write("\n");
      }
    },
  };
}

function estimate(done: number, total: number, elapsedMs: number): number | undefined {
  if (done <= 0 || total <= 0 || elapsedMs < 200) return undefined;
  return ((total - done) * elapsedMs) / done / 1000;
}

/** `import  [████░░] 67 %  171 MiB of 256 MiB  85 MiB/s  ETA 1s`. `columns` 0: without a bar. */
export function progressText(
  options: ProgressOptions,
  done: number,
  elapsedSeconds: number,
  etaSeconds: number | undefined,
  columns: number,
): string {
  const share = options.total > 0 ? Math.min(1, done / options.total) : 0;
  const figure = (count: number): string =>
    options.unit === "bytes" ? approximateBytes(Math.round(count)) : `${count}`;
  const rate = elapsedSeconds > 0.2 ? done / elapsedSeconds : 0;
  const parts = [
    `${Math.floor(share * 100)} %`.padStart(5),
    `${figure(done)} of ${figure(options.total)}${options.unit === "bytes" ? "" : ` ${options.unit}`}`,
    rate > 0 ? (options.unit === "bytes" ? `${figure(rate)}/s` : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`) : "",
    etaSeconds === undefined || share >= 1 ? "" : `ETA ${secondsText(etaSeconds)}`,
  ].filter((part) => part !== "");
  const filled = Math.round(share * barCharacters);
  const bar = columns > 0 ? ` ${"█".repeat(filled)}${"░".repeat(barCharacters - filled)}` : "";
  const text = `${options.label}${bar} ${parts.join("  ")}`;
  return columns > 0 && Bun.stringWidth(text) >= columns ? Bun.sliceAnsi(text, 0, columns - 1) : text;
}

/** `0.4 s`, `12 s`, `3 m 20 s`, `2 h 5 m`. */
export function secondsText(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} m`;
}
