/**
 * Checks every chunk of a run where it is: header and all blocks, read from the medium by its holder; and that the shards of each stripe are of one
 * encoding. `deep` also reads all shards, encodes parity again and compares. Changes nothing.
 */
import { type Finding, findingsPerActMax, type ScrubTask } from "@couchestor/common/api/acts.ts";
import type { ChunkInfo, VerifyAnswer } from "@couchestor/common/api/chunks.ts";
import { blockBytes, shardBytes, shardCount } from "@couchestor/common/code/code.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import { type ActContext, forEachAtOnce, type Throttle, throttleOf, viewOf } from "./act-context.ts";
import type { ActMeter } from "./act-meter.ts";
import { combineCrc32c, zeroBytesOperator } from "./crc-combine.ts";
import { auditStripe } from "./parity-audit.ts";
import { chunkKeyOf, type ShardPlace, type StripeView, shardPlaces } from "./shard-places.ts";
import { stripeBytesOf } from "./stripe-layout.ts";

/** Chunk bytes that one question to a holder may make it read. */
const verifyBytesMax = 32 * 2 ** 20;
const stripesPerBatchMax = 64;
const stripesReadAtOnce = 2;

type Result = VerifyAnswer["results"][number];

export interface ScrubResult {
  findings: Finding[];
  findingsTruncated: boolean;
}

/** What became of each shard of a stripe. */
interface Checked {
  place: ShardPlace;
  state: Result["state"] | "unreachable";
  info?: ChunkInfo | undefined;
}

export async function runScrub(
  context: ActContext,
  task: ScrubTask,
  meter: ActMeter,
  signal: AbortSignal,
): Promise<ScrubResult> {
  const { run } = task;
  const result: ScrubResult = { findings: [], findingsTruncated: false };
  if (run.generation === 0) {
    meter.stripes = run.stripeCount;
    return result;
  }
  const throttle = throttleOf(task, context);
  await context.finder.learn(run, task.nodes);
  const shard = shardBytes(run.code, stripeBytesOf(task.volume, run.firstStripe));
  const perBatch = Math.max(1, Math.min(stripesPerBatchMax, Math.floor(verifyBytesMax / shard)));
  const end = run.firstStripe + run.stripeCount;
  for (let first = run.firstStripe; first < end; first += perBatch) {
    signal.throwIfAborted();
    const stripes = Array.from({ length: Math.min(perBatch, end - first) }, (_, i) => first + i);
    await throttle(shard * shardCount(run.code) * stripes.length, signal);
    const checked = await verifyStripes(context, task, stripes, meter, signal);
    await forEachAtOnce(stripes, stripesReadAtOnce, signal, async (stripe, both) => {
      const shards = checked.get(stripe) as Checked[];
      for (const finding of statesOf(task, stripe, shards)) add(result, finding);
      for (const finding of await belonging(context, task, stripe, shards, { throttle, meter }, both))
        add(result, finding);
      meter.stripes++;
    });
  }
  result.findings.sort((a, b) => a.stripe - b.stripe || a.shardIndex - b.shardIndex);
  return result;
}

function add(result: ScrubResult, finding: Finding): void {
  if (result.findings.length < findingsPerActMax) result.findings.push(finding);
  else result.findingsTruncated = true;
}

/** Asks each holder for its chunks of these stripes, all holders at once. */
async function verifyStripes(
  context: ActContext,
  task: ScrubTask,
  stripes: readonly number[],
  meter: ActMeter,
  signal: AbortSignal,
): Promise<Map<number, Checked[]>> {
  const wanted = stripes.flatMap((stripe) => {
    const view = viewOf(task, stripe);
    const places = shardPlaces(view, context.finder.nodeOf);
    return places.map((place, shardIndex) => ({
      stripe,
      view,
      place: place ?? nowhere(shardIndex),
      known: place !== undefined,
    }));
  });
  const checked = new Map<number, Checked[]>(stripes.map((stripe) => [stripe, []]));
  const holders = Map.groupBy(wanted, ({ place }) => `${place.nodeName}/${place.poolUuid}`);
  await Promise.all(
    [...holders.values()].map(async (group) => {
      const { place, view, known } = group[0] as (typeof group)[number];
      const keys = group.map((one) => chunkKeyOf(one.view, one.place.shardIndex));
      const results = known
        ? await askHolder(context, view, place, keys, signal)
        : keys.map(() => ({ state: "absent" as const }));
      group.forEach((one, i) => {
        const answer = results[i] as Checked;
        checked.get(one.stripe)?.push({ place: one.place, state: answer.state, info: answer.info });
        if (answer.state === "ok") meter.read({ chunksRead: 1, bytesRead: answer.info?.storedBytes ?? 0 });
      });
    }),
  );
  return checked;
}

function nowhere(shardIndex: number): ShardPlace {
  return { shardIndex, poolUuid: "00000000-0000-0000-0000-000000000000", poolName: "unknown", nodeName: "unknown" };
}

async function askHolder(
  context: ActContext,
  view: StripeView,
  place: ShardPlace,
  keys: ReturnType<typeof chunkKeyOf>[],
  signal: AbortSignal,
): Promise<Pick<Checked, "state" | "info">[]> {
  if (context.peers.standing(place.nodeName, view.nodes) === "offline")
    return keys.map(() => ({ state: "unreachable" }));
  try {
    return await context.peers.peer(place.nodeName, view.nodes).verify(place.poolUuid, keys, signal);
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = toAppError(error);
    context.log.warn(
      { nodeName: place.nodeName, pool: place.poolName, error: message },
      "a holder did not verify its chunks",
    );
    // An agent that answers that it has no such pool has answered.
    return keys.map(() => ({ state: code === "NotFound" ? "absent" : "unreachable" }));
  }
}

function* statesOf(task: ScrubTask, stripe: number, shards: readonly Checked[]): Generator<Finding> {
  for (const { place, state, info } of shards) {
    if (state !== "ok") yield findingOf(stripe, place, state);
    else if (info !== undefined && !isOfRun(task, info)) yield findingOf(stripe, place, "mismatch");
  }
}

/** Whether a chunk says of itself what the run says of it. */
function isOfRun(task: ScrubTask, info: ChunkInfo): boolean {
  const { volume, run } = task;
  return (
    info.journalId === volume.journalId &&
    info.throughSeq === run.throughSeq &&
    JSON.stringify(info.code) === JSON.stringify(run.code) &&
    info.stripeBytes === stripeBytesOf(volume, info.stripe)
  );
}

function findingOf(stripe: number, place: ShardPlace, state: Finding["state"]): Finding {
  const { shardIndex, poolUuid, nodeName } = place;
  return { stripe, shardIndex, poolUuid, nodeName, state };
}

/** Findings of shards that verify, each by itself, but do not belong together. */
async function belonging(
  context: ActContext,
  task: ScrubTask,
  stripe: number,
  shards: readonly Checked[],
  tools: { throttle: Throttle; meter: ActMeter },
  signal: AbortSignal,
): Promise<Finding[]> {
  const intact = shards.filter(({ state, info }) => state === "ok" && info !== undefined && isOfRun(task, info));
  const agree = digestsAgree(intact, shardCount(task.run.code));
  if (agree && !task.deep) return [];
  const { bytes, findings } = await readShards(context, task, stripe, intact, tools, signal);
  const guilty = auditStripe(task.run.code, bytes, context);
  if (!agree && guilty.length === 0) {
    context.log.warn(
      { volume: task.volume.name, stripe },
      "the shards belong together but their digests do not say so",
    );
  }
  const mismatches = intact.filter(({ place }) => guilty.includes(place.shardIndex));
  return [...findings, ...mismatches.map(({ place }) => findingOf(stripe, place, "mismatch"))];
}

/** Whether all name one digest; and, when all shards are there, whether their tables give it. */
function digestsAgree(intact: readonly Checked[], shards: number): boolean {
  const infos = intact.flatMap(({ info }) => info ?? []).sort((a, b) => a.shardIndex - b.shardIndex);
  const [first] = infos;
  if (first === undefined) return true;
  if (infos.some((info) => info.stripeDigest !== first.stripeDigest)) return false;
  if (infos.length < shards) return true;
  const operator = zeroBytesOperator((first.shardBytes / blockBytes) * 4);
  const combined = infos.slice(1).reduce((crc, info) => combineCrc32c(crc, info.tableCrc, operator), first.tableCrc);
  return combined === first.stripeDigest;
}

async function readShards(
  context: ActContext,
  task: ScrubTask,
  stripe: number,
  intact: readonly Checked[],
  { throttle, meter }: { throttle: Throttle; meter: ActMeter },
  signal: AbortSignal,
): Promise<{ bytes: Map<number, Uint8Array>; findings: Finding[] }> {
  const view = viewOf(task, stripe);
  const shard = shardBytes(task.run.code, stripeBytesOf(task.volume, stripe));
  await throttle(shard * intact.length, signal);
  const release = await context.budget.acquire(2 * shard * intact.length, "background", signal);
  const bytes = new Map<number, Uint8Array>();
  const findings: Finding[] = [];
  try {
    await Promise.all(
      intact.map(async ({ place }) => {
        try {
          const peer = context.peers.peer(place.nodeName, view.nodes);
          const got = await peer.get(place.poolUuid, chunkKeyOf(view, place.shardIndex), 0, shard / blockBytes, signal);
          bytes.set(place.shardIndex, got.bytes);
          meter.read({ chunksRead: 1, bytesRead: got.bytes.byteLength });
        } catch (error) {
          signal.throwIfAborted();
          findings.push(findingOf(stripe, place, stateOf(error)));
        }
      }),
    );
    return { bytes, findings };
  } finally {
    release();
  }
}

function stateOf(error: unknown): Finding["state"] {
  const { code } = toAppError(error);
  if (code === "ChunkAbsent" || code === "NotFound") return "absent";
  if (code === "ChunkCorrupt") return "corrupt";
  return code === "Unavailable" || code === "Timeout" ? "unreachable" : "error";
}
