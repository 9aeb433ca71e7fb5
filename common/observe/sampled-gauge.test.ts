import { expect, test } from "bun:test";
import { Registry } from "prom-client";
import { type Sample, sampledGauges, sampleOf } from "./sampled-gauge.ts";

test("a figure that is not known, or no longer, has no series, with labels and without", async () => {
  const registry = new Registry();
  const gauge = sampledGauges([registry]);
  let age: number | undefined;
  let states: Sample[] = [];
  gauge("age_seconds", "An age.", [], () => sampleOf(age));
  gauge("things", "Things by state.", ["state"], () => states);
  const series = async () => (await registry.metrics()).split("\n").filter((line) => /^[a-z]/.test(line));
  expect(await series()).toEqual([]);
  age = 0;
  states = [{ labels: { state: "good" }, value: 2 }];
  expect(await series()).toEqual(["age_seconds 0", 'things{state="good"} 2']);
  age = undefined;
  states = [{ labels: { state: "bad" }, value: 1 }];
  expect(await series()).toEqual(['things{state="bad"} 1']);
});
