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
