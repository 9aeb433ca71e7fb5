import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { drive } from "./drive.ts";
import { type Case, callFaults, caseName, faultsAndKills, kills, moves, runCase } from "./systematic.ts";

// Hours of virtual time take seconds of a busy machine's.
setDefaultTimeout(60_000);

/** Of the cases for each move; `make sim SYSTEMATIC=1` goes through all of them. */
const callFaultShare = 6;
const bothTried = 15;

describe("one thing after the other", () => {
  for (const [name, scenario] of Object.entries(moves)) {
    const holds = async (each: Case): Promise<void> => {
      const { violations, outcomes } = await runCase(scenario, each, drive);
      expect([caseName(each), ...violations]).toEqual([caseName(each)]);
      // A brain that dies is no reason not to succeed.
      if (each.faultAt === undefined) expect(outcomes["move-1"]?.result).toBe("Succeeded");
    };

    test(`${name}: the brain is killed right before and right after each of its effects`, async () => {
      const { effects } = await runCase(scenario, {}, drive);
      expect(effects).toBeGreaterThan(15);
      for (const each of kills(effects)) await holds(each);
    });

    test(`${name}: every ${callFaultShare}th of its calls failing in each way; and some of these with a kill`, async () => {
      const plain = await runCase(scenario, {}, drive);
      expect(plain.writes).toBeGreaterThan(5);
      const faults = [...callFaults(plain.writes)];
      for (let i = 0; i < faults.length; i += callFaultShare) await holds(faults[i] ?? {});
      const both = [...faultsAndKills(plain)];
      const prng = seededPrng(1);
      for (let i = 0; i < bothTried; i++) await holds(both[prng.below(both.length)] ?? {});
    });
  }
});
