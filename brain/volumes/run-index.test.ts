import { expect, test } from "bun:test";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import { stripeOf, stripeUuid } from "../store/conformance-selection.ts";
import { RunIndex } from "./run-index.ts";

const uuid = stripeUuid(1);

function version(firstStripe: number, resourceVersion: number, generation: number): EcStripe {
  const run = stripeOf("v", uuid, firstStripe);
  const spec = { ...run.spec, generation, placements: [{ ...at(run.spec.placements), version: generation }] };
  return { ...run, metadata: { ...run.metadata, resourceVersion: String(resourceVersion) }, spec };
}

function at<T>(list: readonly T[]): T {
  const [first] = list;
  if (first === undefined) throw new Error("it is empty");
  return first;
}

test("runs that were edited stay held though more of them were edited than versions are remembered", () => {
  const runs = new RunIndex(2);
  const firsts = [0, 16, 32, 48];
  for (const first of firsts) runs.apply(version(first, 1, 7));
  for (const first of firsts) expect(runs.apply(version(first, 2, 6)).held).toContain("went back");
  // Whatever comes next, such as a status that doesn't say it yet: none of them counts.
  for (const first of firsts) expect(runs.apply(version(first, 3, 6)).held).toContain("went back");
  // What it was is remembered of the newest only; the others need somebody to accept them.
  expect(firsts.map((first) => runs.apply(version(first, 4, 7)).held !== undefined)).toEqual([
    true,
    true,
    false,
    false,
  ]);
  const accepted = version(0, 5, 7);
  const annotations = { "storage.billyronks.io/accept-edit": "3" };
  runs.apply({ ...accepted, metadata: { ...accepted.metadata, generation: 3, annotations } });
  expect(runs.whyHeld(uuid, accepted.metadata.name)).toBeUndefined();
});

test("the runs of a volume stay in order through new versions, new runs and removals, and those of a range are found", () => {
  const runs = new RunIndex();
  const firsts = () => runs.ofVolume(uuid).map(({ firstStripe, revision }) => [firstStripe, revision]);
  for (const first of [32, 0, 16]) runs.apply(version(first, 1, 1));
  expect(firsts()).toEqual([
    [0, 1],
    [16, 1],
    [32, 1],
  ]);
  runs.apply(version(16, 2, 2));
  expect(firsts()[1]).toEqual([16, 2]);
  runs.apply(version(48, 3, 1));
  runs.remove(uuid, version(0, 1, 1).metadata.name);
  expect(firsts()).toEqual([
    [16, 2],
    [32, 1],
    [48, 3],
  ]);
  const covering = (first: number, end: number, max = 256) =>
    runs.covering(uuid, first, end, max).map(({ firstStripe }) => firstStripe);
  expect([covering(0, 16), covering(31, 33), covering(20, 64, 2), covering(40, 41)]).toEqual([
    [],
    [16, 32],
    [16, 32],
    [32],
  ]);
  expect([runs.ofVolume("other"), runs.covering("other", 0, 9, 9)]).toEqual([[], []]);
});
