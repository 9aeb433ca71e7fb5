/**
 * A scripted life of a pool against a model of what it promised. The machine stops at a chosen call of the file system; then the pool is
 * opened again and everything that was acknowledged must hold, in every way the unsynced rest may have turned out.
 */
import type { ChunkName } from "@couchestor/common/api/chunks.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { SimCall, SimFault } from "@couchestor/common/testing/sim-fault.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "../chunk-store.ts";
import type { MediumSpec, PoolChunkStore } from "../pool-chunk-store.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions, type TestChunk } from "./fixture.ts";

/** What the pool has promised of one chunk: `maybe` while neither is certain. */
export type Promise3 = "there" | "gone" | "maybe";

export class Model {
  readonly chunks = new Map<number, { chunk: TestChunk; state: Promise3 }>();
  adopted = false;
  /** The pool was closed, and nothing was asked of it since. */
  closed = false;
  /** Where the pool is. */
  readonly medium: (fs: SimFileSystem) => MediumSpec;

  constructor(medium: (fs: SimFileSystem) => MediumSpec = () => ({ kind: "directory", path: "/srv/pools/a" })) {
    this.medium = medium;
  }
}

const script = { chunks: 14, blocksMax: 3 };

function testChunk(model: Model, no: number): TestChunk {
  const known = model.chunks.get(no);
  if (known) return known.chunk;
  const chunk = chunkOf(no, { blocks: 1 + (no % script.blocksMax) });
  model.chunks.set(no, { chunk, state: "gone" });
  return chunk;
}

function setState(model: Model, no: number, state: Promise3): void {
  const entry = model.chunks.get(no);
  if (entry) entry.state = state;
}

/** Puts a chunk; uncertain until it is answered. */
export async function put(store: PoolChunkStore, model: Model, no: number): Promise<void> {
  const chunk = testChunk(model, no);
  const before = model.chunks.get(no)?.state;
  if (before === "gone") setState(model, no, "maybe");
  await store.put(chunk.image);
  setState(model, no, "there");
}

/** Deletes chunks; uncertain until it is answered. */
export async function remove(store: PoolChunkStore, model: Model, nos: readonly number[]): Promise<void> {
  const names: ChunkName[] = nos.map((no) => testChunk(model, no).name);
  for (const no of nos) if (model.chunks.get(no)?.state === "there") setState(model, no, "maybe");
  await store.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "superseded", names });
  for (const no of nos) setState(model, no, "gone");
}

/** Opens the pool and binds it. */
export async function open(fs: SimFileSystem, model: Model): Promise<PoolChunkStore> {
  const store = await openChunkStore({ ...poolOptions(fs, seededPrng(77)), medium: model.medium(fs) });
  await store.adopt(clusterUuid);
  model.adopted = true;
  return store;
}

/**
 * Puts, groups, deletions, a compaction of every closed segment, a snapshot in the middle, a close and a second life. `from` lets the numbers
 * of a later round be others. Throws when the machine stops.
 */
export async function life(fs: SimFileSystem, model: Model, from: number): Promise<void> {
  model.closed = false;
  const store = await open(fs, model);
  await put(store, model, from);
  await Promise.all([1, 2, 3, 4, 5].map((no) => put(store, model, from + no)));
  await remove(store, model, [from + 1, from + 2]);
  await Promise.all([6, 7].map((no) => put(store, model, from + no)));
  await Promise.all([remove(store, model, [from + 6]), put(store, model, from + 8)]);
  await store.snapshot();
  await Promise.all([9, 10, 11].map((no) => put(store, model, from + no)));
  await remove(store, model, [from + 9]);
  // Twice: the second one drops deletions that only the segments removed by the first had needed.
  for (let round = 0; round < 2; round++) {
    await store.compact(closedSegments(store));
    await put(store, model, from + 12 + round);
  }
  await put(store, model, from + 9);
  await store.close();
  model.closed = true;
}

/** All segments but the last, which may be the one that is written. */
const closedSegments = (store: PoolChunkStore): number[] => store.segmentIds().slice(0, -1);

/** What is wrong with the pool, given what it had promised; empty if nothing is. */
export async function violations(fs: SimFileSystem, model: Model): Promise<string[]> {
  const found: string[] = [];
  let store: PoolChunkStore;
  try {
    store = await openChunkStore({ ...poolOptions(fs, seededPrng(78)), medium: model.medium(fs) });
  } catch (error) {
    return [`the pool does not open: ${error}`];
  }
  if (model.adopted && store.info().clusterUuid !== clusterUuid) found.push("the cluster it was bound to is forgotten");
  if (model.closed && store.info().kind === "directory" && store.stats().openedFrom !== "snapshot")
    found.push("it was closed and yet has no snapshot");
  for (const [no, entry] of model.chunks) found.push(...(await wrongWith(store, no, entry)));
  await store.close();
  return found;
}

async function wrongWith(
  store: PoolChunkStore,
  no: number,
  entry: { chunk: TestChunk; state: Promise3 },
): Promise<string[]> {
  const { chunk, state } = entry;
  const blocks = chunk.data.byteLength / 4096;
  try {
    const { bytes } = await store.get(keyOf(chunk.name), 0, blocks);
    if (Buffer.compare(bytes, chunk.data) !== 0) return [`chunk ${no}: wrong data`];
    return state === "gone" ? [`chunk ${no}: deleted, or never put, and there`] : [];
  } catch (error) {
    const code = isAppError(error) ? error.code : String(error);
    if (code === "ChunkAbsent") return state === "there" ? [`chunk ${no}: acknowledged and absent`] : [];
    if (code !== "ChunkCorrupt") return [`chunk ${no}: ${code}`];
    return state === "maybe" ? [] : [`chunk ${no}: ${state} and corrupt: ${error}`];
  }
}

/** A second process after the first was killed: asks again for what was not answered, and compacts. */
async function retry(fs: SimFileSystem, model: Model, prng: Prng): Promise<void> {
  model.closed = false;
  const store = await open(fs, model);
  for (const [no, entry] of [...model.chunks]) {
    if (entry.state !== "maybe") continue;
    if (prng.below(2) === 0) await put(store, model, no);
    else await remove(store, model, [no]);
  }
  await store.compact(closedSegments(store));
}

export interface CrashRun {
  violations: string[];
  /** How many calls a run makes that is not stopped. */
  calls: number;
}

/**
 * Lives until call `crashAt`; then the machine crashes, or the process is killed, another asks again and then the machine crashes. Checks, lives
 * on until another crash, and checks again. `sabotage` may make a call do nothing.
 */
export async function crashRun(
  seed: number,
  crashAt: number,
  sabotage?: (call: SimCall) => SimFault | undefined,
  model: Model = new Model(),
  prepare: (fs: SimFileSystem) => Promise<void> = async () => {},
): Promise<CrashRun> {
  const prng: Prng = seededPrng(seed);
  const fs = new SimFileSystem({ prng });
  await prepare(fs);
  const until = async (stopAt: number, run: () => Promise<void>): Promise<void> => {
    fs.inject = (call) => sabotage?.(call) ?? (call.index >= stopAt ? "crash" : undefined);
    await run().catch((error: unknown) => {
      if (!fs.crashed) throw error;
    });
    await lastTurns();
    fs.inject = sabotage;
  };
  await until(crashAt, () => life(fs, model, 0));
  const { calls } = fs;
  if (prng.below(2) === 1) {
    fs.kill();
    await until(fs.calls + 40 + prng.below(150), () => retry(fs, model, prng));
  }
  fs.crash();
  const found = await violations(fs, model);
  if (found.length > 0) return { violations: found, calls };
  settle(model);
  fs.crash();
  await until(fs.calls + prng.below(250), () => life(fs, model, 100));
  fs.crash();
  found.push(...(await violations(fs, model)));
  return { violations: found, calls };
}

/** Lets what a stopped process still had under way fail before the next process begins: a real one would be gone. */
async function lastTurns(): Promise<void> {
  for (let turn = 0; turn < 16; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** After a crash, what was uncertain stays out of the later script. */
function settle(model: Model): void {
  for (const [no, entry] of model.chunks) if (entry.state === "maybe") model.chunks.delete(no);
  model.closed = false;
}
