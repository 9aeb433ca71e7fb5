import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { driveWrongly } from "./drive.ts";
import { runHistory } from "./history.ts";
import { mutations } from "./mutations.ts";

// Hours of virtual time take seconds of a busy machine's.
setDefaultTimeout(60_000);

const seedsMax = 25;

describe("a mover that is wrong in one thing is caught:", () => {
  for (const mutation of mutations) {
    test(`it ${mutation.what}`, async () => {
      let violations: string[] = [];
      for (let seed = 1; seed <= seedsMax && violations.length === 0; seed++) {
        const makeDriver = driveWrongly(mutation);
        violations = (await runHistory({ seed, makeDriver, flavour: mutation.flavour })).violations;
      }
      expect(violations).not.toEqual([]);
    });
  }

  test("there are a dozen of them at least, no two alike", () => {
    expect(new Set(mutations.map(({ what }) => what)).size).toBeGreaterThanOrEqual(12);
  });
});
