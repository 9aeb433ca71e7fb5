/** Makes an `ErasureCodec` of anything that can multiply a matrix over GF(2^8) with buffers. */
import { type Code, dataShards, formatCode, shardCount } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parityRows } from "./generator.ts";
import type { Matrix } from "./matrix.ts";
import type { ErasureCodec } from "./ports.ts";
import { checkShardIndices, coefficientsFor, planRecovery } from "./recovery.ts";

/** A matrix made ready: `run` computes outputs[i] = Σ matrix[i][j] · sources[j]. All buffers have `length` bytes and do not overlap. */
export interface PreparedMatrix {
  run(sources: readonly Uint8Array[], outputs: readonly Uint8Array[], length: number): void;
}

export interface MatrixKernel {
  readonly description: string;
  prepare(matrix: Matrix): PreparedMatrix;
}

interface Decoder {
  /** The shards it reads, in the order of the columns. */
  readonly sources: readonly number[];
  readonly matrix: PreparedMatrix;
}

interface PreparedCode {
  readonly dataCount: number;
  readonly parityCount: number;
  readonly encoder: PreparedMatrix;
  /** By the wanted shards and then the present ones, both as bit masks; least recently used first. */
  readonly decoders: Map<number, Map<number, Decoder>>;
}

/** Patterns of loss remembered for each code: what is wanted, and for each of those what is present. */
const wantedPatternsMax = 64;
const presentPatternsMax = 32;
const codesMax = 64;

/** Finds `key`, makes it the most recently used, and forgets the least recently used beyond `entriesMax`. */
function remember<Value>(map: Map<number, Value>, key: number, entriesMax: number, make: () => Value): Value {
  let value = map.get(key);
  if (value !== undefined && map.size === 1) return value;
  if (value === undefined) value = make();
  else map.delete(key);
  if (map.size >= entriesMax) map.delete(map.keys().next().value as number);
  map.set(key, value);
  return value;
}

/** The shards as bits of one number: at most 48, so exact. -1 if one is no shard of the code. */
function shardMask(shards: Iterable<number>, count: number): number {
  let low = 0;
  let high = 0;
  for (const shard of shards) {
    if (!(shard >= 0 && shard < count && (shard | 0) === shard)) return -1;
    if (shard < 24) low |= 1 << shard;
    else high |= 1 << (shard - 24);
  }
  return low + high * 0x100_0000;
}

function isAscending(numbers: readonly number[]): boolean {
  for (let i = 1; i < numbers.length; i++) if ((numbers[i] as number) <= (numbers[i - 1] as number)) return false;
  return true;
}

/** Throws `InvalidArgument` unless there are `count` buffers, each of `length` bytes. */
export function checkBuffers(field: string, buffers: readonly Uint8Array[], count: number, length: number): void {
  if (buffers.length !== count) {
    throw new AppError("InvalidArgument", `${field}: got ${buffers.length} buffers; allowed: ${count}`, {
      data: { field, got: buffers.length, allowed: count },
    });
  }
  for (let i = 0; i < count; i++) {
    const got = buffers[i]?.length;
    if (got === length) continue;
    throw new AppError("InvalidArgument", `${field}[${i}]: got ${got} bytes; allowed: ${length}, as the others have`, {
      data: { field, index: i, got, allowed: length },
    });
  }
}

/** The error for a stripe that has lost more than its code can replace. */
export function unrecoverable(code: Code, present: Iterable<number>, wanted: readonly number[]): AppError {
  const have = [...present].sort((a, b) => a - b);
  return new AppError(
    "Unrecoverable",
    `${formatCode(code)}: shards ${wanted.join(", ")} do not follow from the ${have.length} that are present (${have.join(", ") || "none"})`,
    { data: { code: formatCode(code), present: have, wanted: [...wanted] } },
  );
}

/** A code without parity, replica(1), has nothing to run. */
function encoderOf(kernel: MatrixKernel, rows: Matrix): PreparedMatrix {
  return rows.rows === 0 ? { run: () => {} } : kernel.prepare(rows);
}

export function linearCodec(kernel: MatrixKernel): ErasureCodec {
  const byObject = new WeakMap<Code, PreparedCode>();
  const byName = new Map<string, PreparedCode>();

  const prepareCode = (code: Code): PreparedCode => {
    const name = formatCode(code);
    let prepared = byName.get(name);
    if (!prepared) {
      const dataCount = dataShards(code);
      const encoder = encoderOf(kernel, parityRows(code));
      prepared = { dataCount, parityCount: shardCount(code) - dataCount, encoder, decoders: new Map() };
      if (byName.size >= codesMax) byName.delete(byName.keys().next().value as string);
      byName.set(name, prepared);
    }
    byObject.set(code, prepared);
    return prepared;
  };

  const makeDecoder = (code: Code, present: ReadonlyMap<number, Uint8Array>, wanted: readonly number[]): Decoder => {
    const sources = planRecovery(code, new Set(present.keys()), wanted);
    const coefficients = sources && coefficientsFor(code, sources, wanted);
    if (!sources || !coefficients) throw unrecoverable(code, present.keys(), wanted);
    return { sources, matrix: kernel.prepare(coefficients) };
  };

  const reconstruct: ErasureCodec["reconstruct"] = (code, present, wanted, into) => {
    if (!isAscending(wanted)) {
      const order = [...new Set(wanted)].sort((a, b) => a - b);
      checkBuffers("into", into, wanted.length, into[0]?.length ?? 0);
      reconstruct(
        code,
        present,
        order,
        order.map((shard) => into[wanted.indexOf(shard)] as Uint8Array),
      );
      // A shard asked for twice is computed once.
      wanted.forEach((shard, i) => {
        const first = wanted.indexOf(shard);
        if (first !== i) into[i]?.set(into[first] as Uint8Array);
      });
      return;
    }
    if (wanted.length === 0) return;
    const prepared = byObject.get(code) ?? prepareCode(code);
    const count = prepared.dataCount + prepared.parityCount;
    const presentMask = shardMask(present.keys(), count);
    const wantedMask = shardMask(wanted, count);
    if (presentMask < 0) checkShardIndices(code, "present", present.keys());
    if (wantedMask < 0) checkShardIndices(code, "wanted", wanted);
    const decoders = remember(prepared.decoders, wantedMask, wantedPatternsMax, () => new Map<number, Decoder>());
    const decoder = remember(decoders, presentMask, presentPatternsMax, () => makeDecoder(code, present, wanted));
    const length = into[0]?.length ?? 0;
    const sources = decoder.sources.map((shard) => present.get(shard) as Uint8Array);
    checkBuffers("present", sources, sources.length, length);
    checkBuffers("into", into, wanted.length, length);
    if (length > 0) decoder.matrix.run(sources, into, length);
  };

  return {
    description: kernel.description,
    encode(code, data, parity) {
      const prepared = byObject.get(code) ?? prepareCode(code);
      const length = data[0]?.length ?? 0;
      checkBuffers("data", data, prepared.dataCount, length);
      checkBuffers("parity", parity, prepared.parityCount, length);
      if (length > 0 && prepared.parityCount > 0) prepared.encoder.run(data, parity, length);
    },
    reconstruct,
  };
}
