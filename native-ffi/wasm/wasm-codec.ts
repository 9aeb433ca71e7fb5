/**
 * Reed-Solomon by the crate reed-solomon-erasure compiled to WebAssembly, for machines without ISA-L: somewhat faster than the plain codec from
 * 64 KiB a shard on, and written by others, so that the two check each other. One instance for the life of the process, and one work area in
 * it, as its memory never shrinks. Codes other than rs(k, m) go through the plain codec: a replica is a copy, and the crate has no local
 * parities.
 */
import { readFileSync } from "node:fs";
import { type Code, shardCount } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import wasmPath from "@subspace/reed-solomon-erasure.wasm/dist/reed_solomon_erasure_bg.wasm" with { type: "file" };
import { checkBuffers, unrecoverable } from "../codec/linear-codec.ts";
import type { ErasureCodec } from "../codec/ports.ts";
import { checkShardIndices } from "../codec/recovery.ts";
import { typescriptCodec } from "../codec/typescript-codec.ts";

interface CodecExports {
  readonly memory: WebAssembly.Memory;
  __wbindgen_malloc(bytes: number): number;
  encode(shards: number, shardsBytes: number, dataShards: number, parityShards: number): number;
  reconstruct(
    shards: number,
    shardsBytes: number,
    dataShards: number,
    parityShards: number,
    present: number,
    presentBytes: number,
  ): number;
}

/** Bytes of all shards together in one call: small enough for the cache, large enough to make the call's own cost vanish. */
const workBytes = 1 << 20;

class WasmCodec implements ErasureCodec {
  readonly description = "webassembly";
  readonly #exports: CodecExports;
  readonly #work: number;

  constructor(wasmExports: CodecExports) {
    this.#exports = wasmExports;
    this.#work = wasmExports.__wbindgen_malloc(workBytes);
  }

  encode(code: Code, data: readonly Uint8Array[], parity: readonly Uint8Array[]): void {
    if (code.family !== "rs") {
      typescriptCodec.encode(code, data, parity);
      return;
    }
    const length = data[0]?.length ?? 0;
    checkBuffers("data", data, code.k, length);
    checkBuffers("parity", parity, code.m, length);
    this.#inPieces(code, length, (start, end) => {
      data.forEach((shard, i) => {
        this.#shard(i, end - start).set(shard.subarray(start, end));
      });
      this.#check("encode", this.#exports.encode(this.#work, (end - start) * shardCount(code), code.k, code.m));
      parity.forEach((shard, i) => {
        shard.set(this.#shard(code.k + i, end - start), start);
      });
    });
  }

  reconstruct(
    code: Code,
    present: ReadonlyMap<number, Uint8Array>,
    wanted: readonly number[],
    into: readonly Uint8Array[],
  ): void {
    if (code.family !== "rs") {
      typescriptCodec.reconstruct(code, present, wanted, into);
      return;
    }
    checkShardIndices(code, "present", present.keys());
    checkShardIndices(code, "wanted", wanted);
    if (present.size < code.k && wanted.some((shard) => !present.has(shard))) {
      throw unrecoverable(code, present.keys(), wanted);
    }
    const length = into[0]?.length ?? 0;
    checkBuffers("into", into, wanted.length, length);
    checkBuffers("present", [...present.values()], present.size, length);
    this.#inPieces(code, length, (start, end) => this.#reconstructPiece(code, present, wanted, into, start, end));
  }

  #reconstructPiece(
    code: Extract<Code, { family: "rs" }>,
    present: ReadonlyMap<number, Uint8Array>,
    wanted: readonly number[],
    into: readonly Uint8Array[],
    start: number,
    end: number,
  ): void {
    const count = shardCount(code);
    const bytes = (end - start) * count;
    for (const [shard, source] of present) {
      this.#shard(shard, end - start).set(source.subarray(start, end));
    }
    if (wanted.some((shard) => !present.has(shard))) {
      // `reconstruct` takes the flags by value and frees them itself (measured: a thousand calls reuse one address); freeing them here too, or
      // keeping them for the next call, would corrupt its heap.
      const flags = this.#exports.__wbindgen_malloc(count);
      const view = new Uint8Array(this.#exports.memory.buffer, flags, count);
      for (let shard = 0; shard < count; shard++) view[shard] = present.has(shard) ? 1 : 0;
      this.#check("reconstruct", this.#exports.reconstruct(this.#work, bytes, code.k, code.m, flags, count));
      // The crate brings back data shards only; lost parity is encoded anew from them.
      if (wanted.some((shard) => shard >= code.k)) {
        this.#check("encode", this.#exports.encode(this.#work, bytes, code.k, code.m));
      }
    }
    wanted.forEach((shard, i) => {
      into[i]?.set(this.#shard(shard, end - start), start);
    });
  }

  /** Calls `piece` for ranges of the shards that fit the work area together. */
  #inPieces(code: Code, length: number, piece: (start: number, end: number) => void): void {
    const step = Math.floor(workBytes / shardCount(code) / 64) * 64;
    for (let start = 0; start < length; start += step) piece(start, Math.min(length, start + step));
  }

  /** A view of shard `index` of the work area; made anew as the memory may have moved. */
  #shard(index: number, length: number): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer, this.#work + index * length, length);
  }

  #check(operation: string, result: number): void {
    if (result !== 0) throw new AppError("Internal", `webassembly codec: ${operation} failed with result ${result}`);
  }
}

let instance: ErasureCodec | undefined;

/** The process's one WebAssembly codec. */
export function wasmCodec(): ErasureCodec {
  if (!instance) {
    const module = new WebAssembly.Module(readFileSync(wasmPath));
    instance = new WasmCodec(new WebAssembly.Instance(module).exports as unknown as CodecExports);
  }
  return instance;
}
