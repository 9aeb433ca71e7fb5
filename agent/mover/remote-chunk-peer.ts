/** The chunks of another agent, over its cluster API. Everything that arrives is checked: its size, its name and each block's CRC. */
import {
  type ChunkKey,
  type PutAnswer,
  putAnswerSchema,
  type VerifyAnswer,
  verifyAnswerSchema,
} from "@couchestor/common/api/chunks.ts";
import { blockBytes } from "@couchestor/common/code/code.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { createClient, type HttpClient } from "@couchestor/common/http/client.ts";
import type { PolicySettings } from "@couchestor/common/resilience/policies.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { TlsMaterial } from "@couchestor/common/tls/material.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { ChunkPeer } from "../ports.ts";
import type { VerifiedBlocks } from "../store/ports.ts";
import { chunkHeader, chunkPath, chunkTag, decodeBlocks } from "./chunk-wire.ts";

export interface RemotePeerLimits {
  /** A read has other shards to turn to: better to give up soon. */
  readTimeoutMs: number;
  putTimeoutMs: number;
  verifyTimeoutMs: number;
  /** For so long after a failure to answer, others are asked first. */
  doubtMs: number;
}

export const remotePeerLimits: RemotePeerLimits = {
  readTimeoutMs: 5_000,
  putTimeoutMs: 30_000,
  verifyTimeoutMs: 120_000,
  doubtMs: 5_000,
};

export interface RemotePeerOptions {
  nodeName: string;
  url: string;
  tls: TlsMaterial | undefined;
  checksum: Checksum;
  clock: Clock;
  limits: RemotePeerLimits;
}

const breaker = { failuresToOpen: 4, openMs: 2_000 };

export class RemoteChunkPeer implements ChunkPeer {
  readonly url: string;
  readonly #options: RemotePeerOptions;
  readonly #reads: HttpClient;
  readonly #puts: HttpClient;
  readonly #verifies: HttpClient;
  #failedAtMs: number | undefined;

  constructor(options: RemotePeerOptions) {
    const { limits } = options;
    this.url = options.url;
    this.#options = options;
    this.#reads = this.#client({
      timeoutMs: limits.readTimeoutMs,
      attemptsMax: 1,
      pauseMs: 0,
      pauseMsMax: 0,
      ...breaker,
    });
    this.#puts = this.#client({
      timeoutMs: limits.putTimeoutMs,
      attemptsMax: 2,
      pauseMs: 100,
      pauseMsMax: 1000,
      ...breaker,
    });
    this.#verifies = this.#client({
      timeoutMs: limits.verifyTimeoutMs,
      attemptsMax: 2,
      pauseMs: 100,
      pauseMsMax: 1000,
      ...breaker,
    });
  }

  #client(policy: PolicySettings): HttpClient {
    const { nodeName, url, tls } = this.#options;
    return createClient({ peer: `agent ${nodeName}`, baseUrl: url, tls, policy });
  }

  /** Whether it failed to answer a moment ago. */
  get doubtful(): boolean {
    const { clock, limits } = this.#options;
    return this.#failedAtMs !== undefined && clock.monotonicMs() - this.#failedAtMs < limits.doubtMs;
  }

  async put(poolUuid: string, image: Uint8Array, signal?: AbortSignal): Promise<PutAnswer> {
    const path = `/v1/pools/${poolUuid}/chunks`;
    const headers = { "content-type": "application/octet-stream" };
    const answer = await this.#puts.bytes("PUT", path, {
      bytes: image,
      headers,
      signal,
      idempotent: true,
      answerBytesMax: 65_536,
    });
    return parseAnswer(putAnswerSchema, answer.bytes, `the answer of agent ${this.#options.nodeName} to a PUT`);
  }

  async get(
    poolUuid: string,
    key: ChunkKey,
    firstBlock: number,
    blockCount: number,
    signal?: AbortSignal,
  ): Promise<VerifiedBlocks> {
    const { nodeName, checksum } = this.#options;
    const path = `/v1/pools/${poolUuid}/chunks/${chunkPath(key)}`;
    const answerBytesMax = blockCount * (4 + blockBytes) + 65_536;
    const answer = await this.#reads
      .bytes("GET", path, { query: { firstBlock, blockCount }, signal, answerBytesMax })
      .catch((error) => this.#noteFailure(error, signal));
    this.#failedAtMs = undefined;
    const tag = answer.headers.get(chunkHeader);
    if (tag !== chunkTag(poolUuid, key, firstBlock, blockCount)) {
      throw new AppError("ChunkCorrupt", `agent ${nodeName} was asked for another chunk than it sent`, {
        data: { asked: chunkTag(poolUuid, key, firstBlock, blockCount), sent: tag },
      });
    }
    return decodeBlocks(answer.bytes, blockCount, checksum, `agent ${nodeName}`);
  }

  async verify(poolUuid: string, keys: readonly ChunkKey[], signal?: AbortSignal): Promise<VerifyAnswer["results"]> {
    const path = `/v1/pools/${poolUuid}/chunks/verify`;
    const answer = await this.#verifies.json("POST", path, verifyAnswerSchema, {
      body: { names: keys },
      signal,
      idempotent: true,
    });
    if (answer.results.length !== keys.length) {
      throw new AppError(
        "Internal",
        `agent ${this.#options.nodeName} answered for ${answer.results.length} of ${keys.length} chunks`,
      );
    }
    return answer.results;
  }

  #noteFailure(error: unknown, signal: AbortSignal | undefined): never {
    const unanswered = isAppError(error, "Unavailable") || isAppError(error, "Timeout");
    if (unanswered && signal?.aborted !== true) this.#failedAtMs = this.#options.clock.monotonicMs();
    throw error;
  }
}

function parseAnswer(schema: typeof putAnswerSchema, bytes: Uint8Array, what: string): PutAnswer {
  try {
    return parseOrThrow(schema, JSON.parse(new TextDecoder().decode(bytes)), what);
  } catch (error) {
    throw new AppError(
      "Internal",
      `${what} is not what it should be: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}
