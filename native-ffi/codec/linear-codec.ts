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
  /** By the present shards and then the wanted ones, both as bit masks; least recently used first. */
  readonly decoders: Map<string, Decoder>;
}

const decodersPerCodeMax = 128;
const codesMax = 64;

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

export function linearCodec(kernel: MatrixKernel): ErasureCodec {
  const byObject = new WeakMap<Code, PreparedCode>();
  const byName = new Map<string, PreparedCode>();

  const prepareCode = (code: Code): PreparedCode => {
    const name = formatCode(code);
    let prepared = byName.get(name);
    if (!prepared) {
      const dataCount = dataShards(code);
      const encoder = kernel.prepare(parityRows(code));
      prepared = { dataCount, parityCount: shardCount(code) - dataCount, encoder, decoders: new Map() };
      if (byName.size >= codesMax) byName.delete(byName.keys().next().value as string);
      byName.set(name, prepared);
    }
    byObject.set(code, prepared);
    return prepared;
  };

  const findDecoder = (
    code: Code,
    decoders: Map<string, Decoder>,
    present: ReadonlyMap<number, Uint8Array>,
    wanted: readonly number[],
  ): Decoder => {
    const key = `${[...present.keys()].join(",")}>${wanted.join(",")}`;
    const known = decoders.get(key);
    if (known) {
      decoders.delete(key);
      decoders.set(key, known);
      return known;
    }
    checkShardIndices(code, "present", present.keys());
    const sources = planRecovery(code, new Set(present.keys()), wanted);
    const coefficients = sources && coefficientsFor(code, sources, wanted);
    if (!sources || !coefficients) throw unrecoverable(code, present.keys(), wanted);
    const decoder = { sources, matrix: kernel.prepare(coefficients) };
    if (decoders.size >= decodersPerCodeMax) decoders.delete(decoders.keys().next().value as string);
    decoders.set(key, decoder);
    return decoder;
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
    reconstruct(code, present, wanted, into) {
      const prepared = byObject.get(code) ?? prepareCode(code);
      if (wanted.length === 0) return;
      const decoder = findDecoder(code, prepared.decoders, present, wanted);
      const length = into[0]?.length ?? 0;
      const sources = decoder.sources.map((shard) => present.get(shard) as Uint8Array);
      checkBuffers("present", sources, sources.length, length);
      checkBuffers("into", into, wanted.length, length);
      if (length > 0) decoder.matrix.run(sources, into, length);
    },
  };
}
