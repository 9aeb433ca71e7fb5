/** Views of a small cluster, for golden output. */
import type { NodeView, ScrubReport, StripeView } from "@couchestor/common/api/admin.ts";

const gib = 1024 ** 3;
const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

export function sampleNodes(): NodeView[] {
  return [1, 2].map((n) => ({
    nodeName: `node-${n}`,
    state: n === 1 ? "Online" : "Offline",
    since: "2026-01-02T03:04:05.678Z",
    version: "0.1.0",
    codec: "isa-l 2.31.1",
    labels: {},
    clusterUrl: `http://127.0.0.1:700${n}`,
    adminUrl: `http://127.0.0.1:710${n}`,
    pools: [
      {
        poolUuid: uuid(n),
        poolName: "pool-1",
        kind: "directory",
        labels: { tier: "cold" },
        state: n === 1 ? "Full" : "Online",
        ...(n === 1 ? { reason: "less than 1 GiB is free" } : {}),
        clusterUuid: uuid(99),
        capacityBytes: 10 * gib,
        usedBytes: 4 * gib,
        freeBytes: 6 * gib,
        liveBytes: 3 * gib,
        chunkCount: 12_000,
      },
    ],
  }));
}

/** Two runs of a 2+1 volume `photos`: one healthy, one with two of three shards gone. */
export function sampleStripes(): StripeView[] {
  return [0, 1].map((runIndex) => {
    const lost = runIndex === 1;
    const shards = [0, 1, 2].map((shardIndex) => ({
      shardIndex,
      nodeName: `node-${shardIndex + 1}`,
      poolName: "pool-1",
      poolUuid: uuid(shardIndex),
      online: !lost || shardIndex === 0,
    }));
    return {
      name: `photos-${String(runIndex * 16).padStart(10, "0")}`,
      volume: "photos",
      runIndex,
      firstStripe: runIndex * 16,
      stripeCount: 16,
      state: lost ? "Unrecoverable" : "Healthy",
      code: { family: "rs", k: 2, m: 1 },
      generation: 1,
      placementVersion: 1,
      missing: shards
        .filter((shard) => !shard.online)
        .map(({ shardIndex, nodeName, poolName }) => ({ shardIndex, nodeName, poolName, why: "node is Offline" })),
      shards,
      exceptions: 0,
    };
  });
}

export function sampleScrub(more: Partial<ScrubReport> = {}): ScrubReport {
  return {
    id: "s1",
    state: "Done",
    deep: true,
    startedAt: "2026-01-02T03:04:05.678Z",
    stripesTotal: 32,
    stripesChecked: 32,
    chunksChecked: 96,
    bytesRead: 48 * 1024 * 1024,
    findings: [],
    findingsTruncated: false,
    repaired: 0,
    unrepaired: 0,
    ...more,
  };
}
