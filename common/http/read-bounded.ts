/** Reads whole bodies into memory within a limit of bytes, and, given a clock, of time. */
import { AppError } from "../errors/app-error.ts";
import type { Clock } from "../runtime/clock.ts";

export interface ReadBoundedOptions {
  bytesMax: number;
  /** For messages: `the request body`. */
  what: string;
  /** Headers with a content-length: a body that declares too much is refused unread, and one that ends early is an error. */
  declared?: Headers;
  /** The whole body must be there by then: a sender that dribbles is cut off. */
  deadline?: { clock: Clock; ms: number };
}

/** The bytes of `body`. Throws `TooLarge`, `Timeout`, or `InvalidArgument` for a body that ends before its declared length. */
export async function readBounded(
  body: ReadableStream<Uint8Array> | null | undefined,
  options: ReadBoundedOptions,
): Promise<Uint8Array> {
  const { bytesMax, what, declared, deadline } = options;
  const length = declaredLength(declared);
  if (length !== undefined && length > bytesMax) {
    await body?.cancel().catch(() => undefined);
    throw tooLarge(what, `${length}`, bytesMax);
  }
  if (body === null || body === undefined) return new Uint8Array(0);
  const reader = body.getReader() as BodyReader;
  let late = false;
  const cancelDeadline = deadline?.clock.after(deadline.ms, () => {
    late = true;
    void reader.cancel().catch(() => undefined);
  });
  try {
    const bytes = await collect(reader, length, bytesMax, what);
    if (late) throw new AppError("Timeout", `${what} did not arrive within ${deadline?.ms} ms`, { retryable: false });
    if (length !== undefined && bytes.byteLength < length) {
      throw new AppError("InvalidArgument", `${what} ended after ${bytes.byteLength} of ${length} bytes`, {
        data: { got: bytes.byteLength, declared: length },
      });
    }
    return bytes;
  } finally {
    cancelDeadline?.();
  }
}

/** As much of a stream's reader as is used here: the platform's declarations of it differ. */
interface BodyReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

function declaredLength(headers: Headers | undefined): number | undefined {
  // A compressed body is longer than its declared length once it is read.
  if (headers === undefined || headers.has("content-encoding")) return undefined;
  const text = headers.get("content-length");
  return text === null ? undefined : Number(text);
}

async function collect(
  reader: BodyReader,
  length: number | undefined,
  bytesMax: number,
  what: string,
): Promise<Uint8Array> {
  // With a declared length the pieces go straight to their place.
  let into = new Uint8Array(length ?? 0);
  const pieces: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    if (total + value.byteLength > bytesMax) {
      await reader.cancel().catch(() => undefined);
      throw tooLarge(what, `more than ${bytesMax}`, bytesMax);
    }
    if (length !== undefined && total + value.byteLength <= length) into.set(value, total);
    else pieces.push(value);
    total += value.byteLength;
  }
  if (pieces.length > 0) {
    const head = into.subarray(0, total - pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
    into =
      pieces.length === 1 && head.byteLength === 0
        ? (pieces[0] as Uint8Array<ArrayBuffer>)
        : concat([head, ...pieces], total);
  }
  return into.subarray(0, total);
}

function concat(pieces: readonly Uint8Array[], total: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.byteLength;
  }
  return out;
}

function tooLarge(what: string, got: string, bytesMax: number): AppError {
  return new AppError("TooLarge", `${what}: got ${got} bytes, at most ${bytesMax} are allowed`, {
    data: { got, bytesMax },
  });
}
