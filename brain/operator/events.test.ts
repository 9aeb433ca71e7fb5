import { expect, test } from "bun:test";
import { decide } from "../tiering/decision.ts";
import { sampleNowMs, samplePolicy, samplePool, sampleVolume, score } from "../tiering/testing/decision-samples.ts";
import { conditionEvents } from "./condition-events.ts";
import { MoveTeller, toldMax } from "./move-events.ts";
import { Relay } from "./term-sources.ts";

const lastTransitionTime = "2027-01-15T08:00:00.000Z";
const condition = (type: string, status: "True" | "False" | "Unknown", reason = "R") => ({
  type,
  status,
  reason,
  message: `${type} ${status}`,
  lastTransitionTime,
});

test("transitions are told, good ones as Normal and bad ones as Warning; what stays and good beginnings are not", () => {
  const before = [condition("Ready", "True"), condition("Conflict", "False"), condition("Same", "False")];
  const after = [
    condition("Ready", "False"),
    condition("Conflict", "True"),
    condition("Same", "False"),
    condition("NewAndGood", "True"),
    condition("NewAndBad", "False"),
  ];
  const told = (from: typeof before, to: typeof before) =>
    conditionEvents(from, to).map(({ type, note }) => `${type}: ${note}`);
  expect(told(before, after)).toEqual(["Warning: Ready False", "Warning: Conflict True", "Warning: NewAndBad False"]);
  expect(told(after, before)).toEqual(["Normal: Ready True", "Normal: Conflict False"]);
});

const pools = ["hot", "cold"].flatMap((tier) => [1, 2].map((n) => samplePool(`${tier}-${n}`, `node-${n}`, tier)));

function planOf(volumes: number, iops: number) {
  const cold = pools.filter(({ name }) => name === "cold-1");
  return decide({
    policies: [samplePolicy("tiers", { maxConcurrent: 100 })],
    volumes: Array.from({ length: volumes }, (_, i) => sampleVolume(`pvc-${i}`, cold, { sizeBytes: 1024 })),
    pools,
    heat: () => score(iops),
    active: [],
    maxConcurrent: 100,
    dryRun: false,
    nowMs: sampleNowMs,
  });
}

test("a decision is told once while it stands, again when it comes back, and never more than so many at a time", () => {
  const teller = new MoveTeller();
  const news = (iops: number, volumes = 1) => teller.news(planOf(volumes, iops)).map(({ text }) => text);
  expect(news(9_000)).toEqual([
    expect.objectContaining({ type: "Normal", reason: "ShouldMove", note: expect.stringContaining("cold-1 to hot-") }),
  ]);
  expect(news(9_500)).toEqual([]);
  expect(news(10)).toEqual([]);
  expect(news(9_000)).toHaveLength(1);
  expect(news(9_000, 50)).toHaveLength(toldMax);
});

test("a term's handlers hear of everything while it lasts, and of nothing afterwards", () => {
  let tell: { added?(o: string): void } = {};
  const relay = new Relay<string>({
    whenSynced: Promise.resolve(),
    values: () => ["a"],
    addHandler: (handler) => {
      tell = handler;
    },
  });
  const term = new AbortController();
  const heard: string[] = [];
  relay.during(term.signal).addHandler({ added: (object) => heard.push(object) });
  tell.added?.("b");
  term.abort();
  tell.added?.("c");
  expect(heard).toEqual(["a", "b"]);
  expect(relay.handlerCount).toBe(0);
});
