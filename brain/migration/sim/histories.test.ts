import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { drive } from "./drive.ts";
import { runHistory } from "./history.ts";
import { flavours } from "./scenario.ts";

// Hours of virtual time take seconds of a busy machine's.
setDefaultTimeout(60_000);

/** As many as fit into a test run; `make sim` runs thousands. COUCHESTOR_SEED moves them. */
const from = Number(process.env["COUCHESTOR_SEED"] ?? 1);
const drawn = 24;
const eachFlavour = 3;

describe("migrations, whatever happens to them", () => {
  test(`lose nothing, leave nothing behind, and end, in ${drawn} histories from seed ${from}`, async () => {
    let faults = 0;
    for (let seed = from; seed < from + drawn; seed++) {
      const result = await runHistory({ seed, makeDriver: drive });
      expect([`SEED=${seed}`, ...result.violations]).toEqual([`SEED=${seed}`]);
      faults += result.faults;
    }
    expect(faults).toBeGreaterThan(drawn);
  });

  for (const flavour of flavours) {
    test(`nor when one thing is pressed on: ${flavour}`, async () => {
      for (let seed = from; seed < from + eachFlavour; seed++) {
        const result = await runHistory({ seed, makeDriver: drive, flavour });
        expect([`SEED=${seed} FLAVOUR=${flavour}`, ...result.violations]).toEqual([`SEED=${seed} FLAVOUR=${flavour}`]);
      }
    });
  }

  test("a seed gives the same history again", async () => {
    const run = () => runHistory({ seed: from + 4, makeDriver: drive, flavour: "any" });
    expect(await run()).toEqual(await run());
  });
});
