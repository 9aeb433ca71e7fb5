import { expect, test } from "bun:test";
import { zeroUuid } from "../api/primitives.ts";
import type { Code } from "../code/code.ts";
import { type EcStripeSpec, type EcStripeStatus, ecStripeStatusSchema, stripeStates } from "./ec-stripe.ts";
import { judgedStateOf, readableStatus, stripeStateOf } from "./stripe-status.ts";

const at = "2026-01-02T03:04:05.678Z";
const code: Code = { family: "rs", k: 2, m: 1 };
const shardLocations = [0, 1, 2].map((shardIndex) => ({
  shardIndex,
  poolUuid: zeroUuid,
  nodeName: `node-${shardIndex}`,
  poolName: "pool",
  putEpoch: 1,
  putAct: 1,
}));
const unwritten: EcStripeSpec = {
  volumeRef: "v",
  volumeUuid: zeroUuid,
  journalId: zeroUuid,
  stripeId: 1,
  firstStripe: 1,
  stripeCount: 1,
  lbaRange: { startBytes: 8192, endBytes: 12_289 },
  authority: "store",
  fencedEpoch: 0,
  generation: 0,
  encodeEpoch: 0,
  encodeAct: 0,
  throughSeq: 0,
  code,
  placements: [],
  exceptions: [],
};
const written: EcStripeSpec = {
  ...unwritten,
  generation: 1,
  placements: [{ version: 1, code, shardLocations, since: at }],
};
const status = (fields: Partial<EcStripeStatus>): EcStripeStatus => ({
  state: "Healthy",
  missingShards: [],
  observedEpoch: 0,
  observedSeq: 0,
  ...fields,
});

test("what follows from spec, state and missing shards is brought in line with them, whatever stood there", () => {
  const stale = status({
    state: "Degraded",
    missingShards: [2],
    healthyShards: 40,
    rebuildProgress: 70,
    lastScrub: "2026-01-01T00:00:00.000Z",
    lastAudit: at,
    shardHealth: [{ shardIndex: 0, state: "Corrupted" }],
  });
  const readable = readableStatus(written, stale);
  expect(readable).toMatchObject({
    lbaRange: { startLba: 2, endLba: 3 },
    healthyShards: 2,
    healthyDataShards: 2,
    healthyParityShards: 0,
    lastVerificationTime: at,
    lastModifiedTime: at,
    shardHealth: [{ shardIndex: 2, state: "Missing" }],
  });
  expect(readable.rebuildProgress).toBeUndefined();
  expect(readable.shardLocations?.map((l) => [l.shardIndex, l.isDataShard, l.nodeName])).toEqual([
    [0, true, "node-0"],
    [1, true, "node-1"],
    [2, false, "node-2"],
  ]);
  expect(ecStripeStatusSchema.parse(readable)).toEqual(readable);
  const healthy = readableStatus(written, { ...readable, state: "Healthy", missingShards: [] });
  expect([healthy.shardHealth, healthy.healthyShards]).toEqual([undefined, 3]);
  expect(readableStatus(written, healthy)).toEqual(healthy);
});

test("a run never written has no shards, and none of them is healthy", () => {
  const readable = readableStatus(unwritten, status({ state: "Unwritten" }));
  expect([readable.healthyShards, readable.shardLocations, readable.lastModifiedTime]).toEqual([
    0,
    undefined,
    undefined,
  ]);
});

test("of a run that is being written, or that nobody has looked at yet, no shards are counted", () => {
  const before = readableStatus(written, status({ state: "Healthy" }));
  const writing = readableStatus(written, { ...before, state: "Writing" });
  expect([writing.healthyShards, writing.healthyDataShards, writing.healthyParityShards]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(ecStripeStatusSchema.parse(writing)).toEqual(writing);
});

test("people's states and judgements stand for each other", () => {
  for (const state of stripeStates) {
    const activity = state === "Writing" ? "encode" : state === "Rebuilding" ? "rebuild" : undefined;
    expect(stripeStateOf(judgedStateOf(state), activity)).toBe(state);
  }
  expect(stripeStateOf("Healthy", "rebuild")).toBe("Healthy");
  expect(stripeStateOf("Unrecoverable", "rebuild")).toBe("Failed");
});
