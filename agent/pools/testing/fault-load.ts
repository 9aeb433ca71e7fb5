/**
 * For fault tests on real devices: writes chunks until told to stop, remembers what was acknowledged, and holds the pool to it.
 */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { ChunkStore } from "../../store/ports.ts";
import { chunkOf, keyOf, type TestChunk } from "../../store/testing/fixture.ts";

/** How often each error code was given. */
export type Codes = Record<string, number>;

export interface Audit {
  /** Promises that were broken; empty if none was. */
  violations: string[];
  /** Errors of reads that may fail while the fault lasts. */
  errors: Codes;
  /** Acknowledged chunks that were read and are right. */
  intact: number;
}

const lanes = 6;
const blocksMax = 40;

export class FaultLoad {
  readonly acknowledged: TestChunk[] = [];
  /** Asked for and not answered, or answered with an error: there or not, but never wrong. */
  readonly doubtful: TestChunk[] = [];
  #next = 0;

  /** Puts chunks until `enough` says so, several at a time. A failed put is counted and the lane goes on, `pauseMs` later. */
  async run(store: () => ChunkStore, enough: (codes: Codes) => boolean, pause: () => Promise<void>): Promise<Codes> {
    const codes: Codes = {};
    const lane = async () => {
      while (!enough(codes)) {
        const no = this.#next++;
        const chunk = chunkOf(no, { blocks: 1 + (no % blocksMax) });
        this.doubtful.push(chunk);
        try {
          await store().put(chunk.image);
          this.doubtful.splice(this.doubtful.indexOf(chunk), 1);
          this.acknowledged.push(chunk);
          count(codes, "ok");
        } catch (error) {
          count(codes, codeOf(error));
          await pause();
        }
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return codes;
  }

  /** Puts `n` more chunks that must all be acknowledged. */
  async putSome(store: ChunkStore, n: number): Promise<void> {
    const until = this.acknowledged.length + n;
    const codes = await this.run(
      () => store,
      (seen) => this.acknowledged.length >= until || Object.keys(seen).some((code) => code !== "ok"),
      () => Promise.resolve(),
    );
    const failed = Object.keys(codes).filter((code) => code !== "ok");
    if (failed.length > 0) throw new Error(`puts failed: ${failed.join(", ")}`);
  }

  /**
   * Reads everything. `allowed` are the codes that an acknowledged chunk may answer with while a fault lasts; absence is never one of them, and
   * bytes are right or not given.
   */
  async audit(store: ChunkStore, allowed: readonly string[] = []): Promise<Audit> {
    const audit: Audit = { violations: [], errors: {}, intact: 0 };
    for (const chunk of this.acknowledged) {
      const code = await read(store, chunk);
      if (code === "ok") audit.intact++;
      else if (allowed.includes(code)) count(audit.errors, code);
      else audit.violations.push(`chunk ${chunk.name.stripe}: acknowledged, and ${code}`);
    }
    for (const chunk of this.doubtful) {
      const code = await read(store, chunk);
      const fine = code === "ok" || code === "ChunkAbsent" || code === "ChunkCorrupt" || allowed.includes(code);
      if (!fine) audit.violations.push(`chunk ${chunk.name.stripe}: not acknowledged, and ${code}`);
    }
    return audit;
  }
}

async function read(store: ChunkStore, chunk: TestChunk): Promise<string> {
  try {
    const { bytes } = await store.get(keyOf(chunk.name), 0, chunk.data.byteLength / 4096);
    return Buffer.compare(bytes, chunk.data) === 0 ? "ok" : "wrong bytes";
  } catch (error) {
    return codeOf(error);
  }
}

export function codeOf(error: unknown): string {
  return isAppError(error) ? error.code : String(error);
}

function count(codes: Codes, code: string): void {
  codes[code] = (codes[code] ?? 0) + 1;
}
