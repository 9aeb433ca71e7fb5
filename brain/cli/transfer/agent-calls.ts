/** The two data calls of the command line to an agent's admin listener: the bytes of an encode act, and a range of a volume. */
import { type EncodeResult, encodeResultSchema } from "@couchestor/common/api/admin.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { createClient } from "@couchestor/common/http/client.ts";
import { readBounded } from "@couchestor/common/http/read-bounded.ts";
import { policies } from "@couchestor/common/resilience/policies.ts";
import type { TlsMaterial } from "@couchestor/common/tls/material.ts";
import type { Reader } from "../brain-client.ts";

const resultBytesMax = 64 * 1024;
/** A range that takes longer comes from an agent that hangs. */
const rangeTimeoutMs = 60_000;

/** Sends exactly `length` bytes and returns what the mover says after the commit. */
export async function putBytes(
  tls: TlsMaterial | undefined,
  dataUrl: string,
  body: ReadableStream<Uint8Array>,
  length: number,
  signal: AbortSignal,
): Promise<EncodeResult> {
  const url = new URL(dataUrl);
  const peer = `agent ${url.host}`;
  const client = createClient({ peer, baseUrl: url.origin, tls });
  const response = await client.stream("PUT", url.pathname + url.search, {
    bytes: body,
    headers: { "content-type": "application/octet-stream", "content-length": String(length) },
    signal: AbortSignal.any([signal, AbortSignal.timeout(sendTimeoutMs(length))]),
  });
  try {
    const answer = await readBounded(response.body, { bytesMax: resultBytesMax, what: `the answer of ${peer}` });
    return parseOrThrow(encodeResultSchema, JSON.parse(new TextDecoder().decode(answer)), `the answer of ${peer}`);
  } catch (error) {
    // Half an answer: whether the run is in, the next grant tells.
    const why = error instanceof Error ? error.message : String(error);
    throw new AppError("Unavailable", `${peer} took the bytes, but its answer can't be read: ${why}`, { cause: error });
  }
}

/** A minute, and a second for every MiB: slower than that is stuck. */
function sendTimeoutMs(bytes: number): number {
  return 60_000 + Math.ceil(bytes / 1_048_576) * 1000;
}

/** Exactly the bytes of the range. */
export async function getBytes(
  tls: TlsMaterial | undefined,
  reader: Reader,
  range: { offset: number; length: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const client = createClient({
    peer: `agent ${reader.nodeName}`,
    baseUrl: reader.url,
    tls,
    policy: { ...policies.order, timeoutMs: rangeTimeoutMs },
  });
  const { bytes } = await client.bytes("GET", `/v1/volumes/${reader.volumeUuid}/data`, {
    headers: { range: `bytes=${range.offset}-${range.offset + range.length - 1}` },
    answerBytesMax: range.length,
    signal,
    idempotent: false,
  });
  if (bytes.length === range.length) return bytes;
  throw new AppError("Unavailable", `agent ${reader.nodeName} sent ${bytes.length} of ${range.length} bytes`);
}
