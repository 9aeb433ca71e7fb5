/** A body of JSON values, one a line, as they arrive. */
import { AppError } from "@couchestor/common/errors/app-error.ts";

/** Runs while the next piece is waited for, and not while the reader of the lines is busy. */
export interface WaitTimer {
  start(): void;
  stop(): void;
}

/** Throws `TooLarge` for a line above `lineBytesMax`, `Unavailable` for one that is not JSON. Bytes without a line's end are dropped. */
export async function* jsonLines(
  body: ReadableStream<Uint8Array> | null,
  lineBytesMax: number,
  timer: WaitTimer,
): AsyncGenerator<unknown> {
  if (body === null) return;
  const reader = body.getReader();
  // The pieces of a line that hasn't ended yet.
  let pieces: Uint8Array[] = [];
  let waitingBytes = 0;
  for (;;) {
    timer.start();
    const { done, value } = await reader.read();
    timer.stop();
    if (done || value === undefined) return;
    let from = 0;
    for (let end = value.indexOf(lineEnd); end !== -1; end = value.indexOf(lineEnd, from)) {
      pieces.push(value.subarray(from, end));
      const line = Buffer.concat(pieces).toString("utf8");
      pieces = [];
      waitingBytes = 0;
      from = end + 1;
      if (line.trim() !== "") yield parsed(line);
    }
    if (from < value.byteLength) {
      pieces.push(value.subarray(from));
      waitingBytes += value.byteLength - from;
    }
    if (waitingBytes > lineBytesMax) {
      throw new AppError("TooLarge", `a line of the watch has more than ${lineBytesMax} bytes`, {
        data: { lineBytesMax },
      });
    }
  }
}

const lineEnd = 0x0a;

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new AppError("Unavailable", `a line of the watch is not JSON: "${line.slice(0, 100)}"`, { cause });
  }
}
