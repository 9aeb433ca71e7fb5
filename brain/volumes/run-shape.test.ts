import { expect, test } from "bun:test";
import { parseCode, shardCount } from "@couchestor/common/code/code.ts";
import { chooseVersion } from "../recover/choose-version.ts";
import { judgeRun, type RunShape } from "./run-shape.ts";

const code = parseCode("lrc(12,2,2)");
const poolOf = (shardIndex: number) => `pool-${shardIndex}`;
const shards = Array.from({ length: shardCount(code) }, (_, shardIndex) => shardIndex);
const run: RunShape = {
  code,
  generation: 1,
  exceptions: [],
  shardLocations: shards.map((shardIndex) => ({
    shardIndex,
    poolUuid: poolOf(shardIndex),
    nodeName: "n",
    poolName: "p",
    putEpoch: 1,
    putAct: 1,
  })),
};

function judgedWithout(lost: readonly number[]) {
  const gone = new Set(lost.map(poolOf));
  return judgeRun(run, (pool) => (gone.has(pool) ? "lost" : "ok"));
}

test("an lrc stripe with two losses in each group is readable, and repaired", () => {
  expect(judgedWithout([0, 1, 6, 7])).toMatchObject({ state: "Degraded", spare: 0, lostColumns: [0, 1, 6, 7] });
  expect(judgedWithout([0, 1, 2, 3]).state).toBe("Unrecoverable");
});

test("recovery takes an lrc stripe with two losses in each group for readable", () => {
  const version = {
    journalId: "",
    generation: 1,
    encodeEpoch: 1,
    encodeAct: 1,
    throughSeq: 0,
    placementVersion: 1,
    code,
  };
  const left = shards.filter((s) => ![0, 1, 6, 7].includes(s));
  const copies = left.map((shardIndex) => ({ shardIndex, poolUuid: poolOf(shardIndex), putEpoch: 1, putAct: 1 }));
  expect(chooseVersion([version], new Map([[0, copies]]))).toMatchObject({ readable: true, missing: [0, 1, 6, 7] });
});
