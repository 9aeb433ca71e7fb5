/** The admin API: the bytes of volumes, in and out, for administrators' tools. */
import { uuidSchema } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { toAppError, toProblem } from "@couchestor/common/errors/http.ts";
import type { ActRunner } from "../mover/act-runner.ts";
import type { MapCache } from "../mover/map-cache.ts";
import type { StripeReader } from "../mover/stripe-reader.ts";
import type { Log } from "../ports.ts";
import { type AgentContext, type AgentHono, type AppParts, appOf } from "./app.ts";
import { parseByteRange } from "./byte-range.ts";
import { actKeySchema, type VersionAnswer } from "./cluster-app.ts";

export interface AdminAppParts extends AppParts {
  acts: Pick<ActRunner, "encode">;
  maps: Pick<MapCache, "volume">;
  reader: Pick<StripeReader, "read">;
  version: VersionAnswer;
}

export function adminApp(parts: AdminAppParts): AgentHono {
  const { acts, version } = parts;
  return appOf(parts, [
    ["GET", "/v1/version", (c) => c.json(version)],
    [
      "PUT",
      "/v1/acts/:actKey/data",
      async (c) => {
        c.env.withoutIdleTimeout();
        const key = parseOrThrow(actKeySchema, c.req.param("actKey"), "actKey");
        const { body, headers } = c.req.raw;
        if (body === null) throw new AppError("InvalidArgument", "body: got none, the bytes of the run are due");
        const length = headers.get("content-length");
        return c.json(await acts.encode(key, body, length === null ? undefined : Number(length)));
      },
    ],
    ["GET", "/v1/volumes/:volumeUuid/data", (c) => volumeData(parts, c)],
    ["GET", "/v1/openapi.json", async (c) => c.json((await import("./openapi.ts")).adminDocument())],
  ]);
}

async function volumeData({ maps, reader, log }: AdminAppParts, c: AgentContext): Promise<Response> {
  const volumeUuid = parseOrThrow(uuidSchema, c.req.param("volumeUuid"), "volumeUuid");
  const { sizeBytes } = await maps.volume(volumeUuid);
  const asked = c.req.header("range") ?? null;
  const range = parseByteRange(asked, sizeBytes);
  if (range === undefined) return notSatisfiable(asked, sizeBytes);
  const { offset, length } = range;
  const pieces = reader.read(volumeUuid, offset, length, c.req.raw.signal);
  // The first stripe before the headers: what can't be read at all is answered as an error.
  const first = await pieces.next();
  const headers = {
    "content-type": "application/octet-stream",
    "accept-ranges": "bytes",
    "cache-control": "no-store",
    ...(asked === null ? {} : { "content-range": `bytes ${offset}-${offset + length - 1}/${sizeBytes}` }),
  };
  const stream = streamOf(first, pieces, log, { volumeUuid, offset, length });
  return new Response(stream, { status: asked === null ? 200 : 206, headers });
}

/** Pulled piece by piece, so that a slow reader holds nothing but what is read ahead. A failure breaks the connection off before the last piece of the chunked body, so no client takes it for the end. */
function streamOf(
  first: IteratorResult<Uint8Array>,
  pieces: AsyncGenerator<Uint8Array>,
  log: Log,
  what: object,
): ReadableStream<Uint8Array> {
  let next: IteratorResult<Uint8Array> | undefined = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = next ?? (await pieces.next());
          next = undefined;
          if (done === true) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          const { code, message } = toAppError(error);
          if (code !== "Cancelled") log.warn({ ...what, code, reason: message }, "a volume read broke off");
          controller.error(error);
        }
      },
      async cancel() {
        await pieces.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

function notSatisfiable(asked: string | null, sizeBytes: number): Response {
  const error = new AppError(
    "InvalidArgument",
    `Range: got "${asked}", allowed is one range of bytes within 0-${sizeBytes - 1}, such as bytes=0-4095`,
    { data: { field: "Range", came: asked, sizeBytes } },
  );
  return new Response(JSON.stringify({ ...toProblem(error), status: 416 }), {
    status: 416,
    headers: { "content-type": "application/problem+json", "content-range": `bytes */${sizeBytes}` },
  });
}
