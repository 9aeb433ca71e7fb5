/** Whether a stripe can be read from the shards that are left. Pure; counts only, no matrices. */
import { type Code, dataShards, lossesTolerated, shardCount } from "@couchestor/common/code/code.ts";

/**
 * Whether the data survives the loss of these shards. Exact for rs and replica. For lrc it never promises too much: any g + 1 losses, or what is left after
 * each local group repaired its single loss fits the g global parities. Shards are data 0…k−1, then l local parities, then g global ones.
 */
export function decodable(code: Code, lost: ReadonlySet<number>): boolean {
  if (lost.size <= lossesTolerated(code)) return true;
  if (code.family !== "lrc") return shardCount(code) - lost.size >= dataShards(code);
  const groupSize = code.k / code.l;
  let open = 0;
  for (let group = 0; group < code.l; group++) {
    let data = 0;
    for (let i = 0; i < groupSize; i++) if (lost.has(group * groupSize + i)) data++;
    const localParity = lost.has(code.k + group);
    if (data === 1 && !localParity) continue;
    open += data;
  }
  for (let i = 0; i < code.g; i++) if (lost.has(code.k + code.l + i)) open++;
  return open <= code.g;
}

/** How many further losses, whichever they are, the stripe bears for certain; negative when it can't be read. */
export function spareOf(code: Code, lost: ReadonlySet<number>): number {
  const spare = lossesTolerated(code) - lost.size;
  if (spare >= 0) return spare;
  return decodable(code, lost) ? 0 : Math.min(-1, spare);
}
