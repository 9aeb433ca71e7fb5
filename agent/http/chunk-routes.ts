/** The chunk part of the cluster API, as `common/api/chunks.ts` has it. */
import {
  type ChunkKey,
  chunkKeySchema,
  chunksPerRequestMax,
  deleteRequestSchema,
  verifyRequestSchema,
} from "@couchestor/common/api/chunks.ts";
import { uuidSchema } from "@couchestor/common/api/primitives.ts";
import { blockBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import { readBounded } from "@couchestor/common/http/read-bounded.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { z } from "zod";
import type { ByteBudget } from "../mover/byte-budget.ts";
import { blocksContentType, chunkHeader, chunkTag, crcTableBytes } from "../mover/chunk-wire.ts";
import { LocalChunkPeer } from "../mover/local-chunk-peer.ts";
import type { AgentMetrics } from "../observe/metrics.ts";
import type { OpenPools } from "../ports.ts";
import { chunkBytesMax, chunkHeaderBytes } from "../store/chunk-format.ts";
import { type AgentContext, type Handler, jsonBody } from "./app.ts";

/** The longest chunk image. */
export const imageBytesMax = chunkBytesMax + chunkHeaderBytes(chunkBytesMax / blockBytes);
/** A chunk must have come within this time, however slowly its sender sends. */
const imageDeadlineMs = 60_000;

const wholeNumber = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const rangeSchema = z.strictObject({
  firstBlock: wholeNumber.default(0),
  blockCount: wholeNumber.min(1).max(chunkBytesMax / blockBytes),
});
const listSchema = z.strictObject({
  after: z.string().max(1024).optional(),
  limit: wholeNumber.min(1).max(chunksPerRequestMax).default(256),
  verify: z.stringbool({ truthy: ["true", "1"], falsy: ["false", "0"] }).default(false),
});
const keySchema = chunkKeySchema.extend({
  stripe: wholeNumber,
  shardIndex: wholeNumber,
  generation: wholeNumber,
  encodeEpoch: wholeNumber,
  encodeAct: wholeNumber,
});

export interface ChunkRouteParts {
  pools: OpenPools;
  budget: ByteBudget;
  clock: Clock;
  metrics: AgentMetrics;
}

type Operation = Parameters<AgentMetrics["chunk"]>[0];
type Run = (parts: ChunkRouteParts, c: AgentContext) => Promise<{ response: Response; bytes: number }>;

/** `[method, path, handler]` of each. */
export function chunkRoutes(parts: ChunkRouteParts): (readonly [string, string, Handler])[] {
  const counted = (operation: Operation, run: Run): Handler => {
    return async (c) => {
      try {
        const { response, bytes } = await run(parts, c);
        parts.metrics.chunk(operation, "ok", bytes);
        return response;
      } catch (error) {
        parts.metrics.chunk(operation, toAppError(error).code, 0);
        throw error;
      }
    };
  };
  const at = "/v1/pools/:poolUuid/chunks";
  return [
    ["PUT", at, counted("put", putChunk)],
    ["GET", `${at}/:volumeUuid/:stripe/:shardIndex/:generation/:encodeEpoch/:encodeAct`, counted("get", getBlocks)],
    ["POST", `${at}/verify`, counted("verify", verifyChunks)],
    ["POST", `${at}/delete`, counted("delete", deleteChunks)],
    ["GET", at, counted("list", listChunks)],
  ];
}

const putChunk: Run = async ({ pools, budget, clock }, c) => {
  const store = pools.get(poolOf(c));
  const { body, headers, signal } = c.req.raw;
  const length = declaredImageBytes(headers);
  const release = await budget.acquire(length, "foreground", signal);
  try {
    const deadline = { clock, ms: imageDeadlineMs };
    const image = await readBounded(body, { bytesMax: length, what: "chunk image", declared: headers, deadline });
    return { response: c.json(await store.put(image)), bytes: image.byteLength };
  } finally {
    release();
  }
};

const getBlocks: Run = async ({ pools, budget }, c) => {
  const poolUuid = poolOf(c);
  const key = keyOf(c);
  const { firstBlock, blockCount } = parseOrThrow(rangeSchema, c.req.query(), "query");
  const release = await budget.acquire(blockCount * blockBytes, "foreground", c.req.raw.signal);
  try {
    const { crcs, bytes } = await pools.get(poolUuid).get(key, firstBlock, blockCount);
    const out = new Uint8Array(crcs.length * 4 + bytes.byteLength);
    out.set(crcTableBytes(crcs));
    out.set(bytes, crcs.length * 4);
    const tag = chunkTag(poolUuid, key, firstBlock, blockCount);
    const headers = { "content-type": blocksContentType, [chunkHeader]: tag };
    return { response: new Response(out, { headers }), bytes: bytes.byteLength };
  } finally {
    release();
  }
};

const verifyChunks: Run = async ({ pools, clock }, c) => {
  c.env.withoutIdleTimeout();
  const { names } = await jsonBody(c, verifyRequestSchema, clock);
  const results = await new LocalChunkPeer(pools).verify(poolOf(c), names, c.req.raw.signal);
  const bytes = results.reduce((sum, { info }) => sum + (info?.storedBytes ?? 0), 0);
  return { response: c.json({ results }), bytes };
};

const deleteChunks: Run = async ({ pools, clock }, c) => {
  c.env.withoutIdleTimeout();
  const request = await jsonBody(c, deleteRequestSchema, clock);
  return { response: c.json(await pools.get(poolOf(c)).delete(request)), bytes: 0 };
};

const listChunks: Run = async ({ pools }, c) => {
  c.env.withoutIdleTimeout();
  const options = parseOrThrow(listSchema, c.req.query(), "query");
  return { response: c.json(await pools.get(poolOf(c)).list(options)), bytes: 0 };
};

function poolOf(c: AgentContext): string {
  return parseOrThrow(uuidSchema, c.req.param("poolUuid"), "poolUuid");
}

function keyOf(c: AgentContext): ChunkKey {
  const { poolUuid: _, ...parameters } = c.req.param() as Record<string, string>;
  return parseOrThrow(chunkKeySchema, parseOrThrow(keySchema, parameters, "chunk"), "chunk");
}

function declaredImageBytes(headers: Headers): number {
  const text = headers.get("content-length");
  const length = text === null ? Number.NaN : Number(text);
  if (!Number.isSafeInteger(length) || length <= 0) {
    throw new AppError(
      "InvalidArgument",
      `content-length: got ${text ?? "none"}, a chunk image must say its length, at most ${imageBytesMax}`,
    );
  }
  if (length > imageBytesMax) {
    throw new AppError("TooLarge", `chunk image: got ${length} bytes, at most ${imageBytesMax} are allowed`);
  }
  return length;
}
