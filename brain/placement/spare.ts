/** How many further losses a stripe bears. Shard order: k data, then parity; of lrc(k,l,g) k data, l local, g global. */
import { type Code, formatCode, lossesTolerated, shardCount } from "@couchestor/common/code/code.ts";
import { shardsShort } from "./decode-rank.ts";

/** Sets of further losses that are tried at most for one answer; beyond it the guaranteed number stands. */
const trialsMax = 4000;
const answersMax = 4096;
const answers = new Map<string, number>();

/** Whether the data can be decoded without the `lost` shards. Exact for every code. */
export function isDecodable(code: Code, lost: ReadonlySet<number>): boolean {
  return lost.size <= lossesTolerated(code) || shardsShort(code, lost) === 0;
}

/**
 * How many further losses, whichever they are, the stripe bears; −1 when it can't be decoded now. Exact for rs and replica. For lrc at least
 * the g + 1 that any loss pattern allows less the losses so far, and more where trying every set of further losses shows it.
 */
export function spareCount(code: Code, lost: ReadonlySet<number>): number {
  if (!isDecodable(code, lost)) return -1;
  const guaranteed = Math.max(0, lossesTolerated(code) - lost.size);
  if (code.family !== "lrc") return guaranteed;
  const key = `${formatCode(code)} ${[...lost].sort((a, b) => a - b).join()}`;
  let spare = answers.get(key);
  if (spare === undefined) {
    spare = provenSpare(code, lost, guaranteed);
    if (answers.size >= answersMax) answers.delete(answers.keys().next().value ?? "");
    answers.set(key, spare);
  }
  return spare;
}

function provenSpare(code: Code, lost: ReadonlySet<number>, guaranteed: number): number {
  const left = Array.from({ length: shardCount(code) }, (_, shard) => shard).filter((shard) => !lost.has(shard));
  let trials = 0;
  for (let spare = guaranteed; ; spare++) {
    trials += binomial(left.length, spare + 1);
    if (trials > trialsMax || !bearsAll(code, new Set(lost), left, 0, spare + 1)) return spare;
  }
}

/** Whether the data survives each way of losing `more` of `left[from …]` on top of `lost`. */
function bearsAll(code: Code, lost: Set<number>, left: readonly number[], from: number, more: number): boolean {
  if (more === 0) return isDecodable(code, lost);
  for (let at = from; at <= left.length - more; at++) {
    const shard = left[at] ?? -1;
    lost.add(shard);
    const bears = bearsAll(code, lost, left, at + 1, more - 1);
    lost.delete(shard);
    if (!bears) return false;
  }
  return more <= left.length - from;
}

function binomial(n: number, k: number): number {
  let value = 1;
  for (let i = 1; i <= k; i++) value = (value * (n - k + i)) / i;
  return n < k ? 0 : value;
}
