/**
 * `make sim`: histories by their seeds, one line at the end.
 *
 *   SEEDS=1000            how many, from 1 (FROM=n: from there)
 *   SEED=n                that one alone, with what happened
 *   FLAVOUR=late          those alone that press on one thing (see `scenario.ts`)
 *   SYSTEMATIC=1          instead: every call failing in every way × the brain killed before and after every effect
 *   SHARE=10              of these, each call's faults and each kill by itself, and one in ten of both together
 */
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { drive } from "./drive.ts";
import { type HistoryResult, runHistory } from "./history.ts";
import { flavours } from "./scenario.ts";
import { type Case, callFaults, caseName, faultsAndKills, kills, moves, runCase } from "./systematic.ts";

const violationsShown = 20;

class Tally {
  histories = 0;
  faults = 0;
  violations = 0;
  #writes = 0;
  #transitions = 0;
  readonly #results = new Map<string, number>();

  add(result: HistoryResult, replay: string): void {
    this.histories += 1;
    this.faults += result.faults;
    this.#writes += result.writes;
    this.#transitions += result.transitions;
    for (const outcome of Object.values(result.outcomes)) {
      const name = outcome === undefined ? "Deleted" : `${outcome.result} ${outcome.reason}`;
      this.#results.set(name, (this.#results.get(name) ?? 0) + 1);
    }
    for (const violation of result.violations) {
      this.violations += 1;
      if (this.violations <= violationsShown) say(`${replay}: ${violation}`);
    }
  }

  end(startedMs: number): void {
    const seconds = Math.round((systemClock.monotonicMs() - startedMs) / 1000);
    for (const [name, count] of [...this.#results].sort((a, b) => b[1] - a[1])) say(`  ${count} ${name}`);
    say(`  ${this.#writes} changing calls, ${this.#transitions} transitions checked, ${seconds} s`);
    say(`histories ${this.histories}, faults ${this.faults}, violations ${this.violations}`);
  }
}

async function random(tally: Tally): Promise<void> {
  const from = whole("FROM", 1);
  const count = whole("SEEDS", 1000);
  for (let seed = from; seed < from + count; seed++) {
    const of = flavour === undefined ? "" : ` FLAVOUR=${flavour}`;
    tally.add(await runHistory({ seed, makeDriver: drive, flavour }), `SEED=${seed}${of}`);
    if ((seed - from) % 100 === 99) say(`${seed - from + 1} of ${count}`);
  }
}

async function systematic(tally: Tally): Promise<void> {
  for (const [name, scenario] of Object.entries(moves)) {
    const plain = await runCase(scenario, {}, drive);
    const share = Math.max(1, whole("SHARE", 1));
    const both = [...faultsAndKills(plain)].filter((_, i) => i % share === 0);
    const all: Case[] = [...kills(plain.effects), ...callFaults(plain.writes), ...both];
    say(`${name}: ${plain.writes} changing calls, ${plain.effects} effects, ${all.length} histories`);
    for (const [i, each] of all.entries()) {
      tally.add(await runCase(scenario, each, drive), `${name}, ${caseName(each)}`);
      if (i % 1000 === 999) say(`${i + 1} of ${all.length}`);
    }
  }
}

async function one(seed: number, tally: Tally): Promise<void> {
  const result = await runHistory({ seed, makeDriver: drive, flavour, trace: say });
  say(JSON.stringify({ ...result, violations: result.violations.length }, undefined, 2));
  tally.add(result, `SEED=${seed}`);
}

function whole(name: string, otherwise: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return otherwise;
  if (!/^\d{1,9}$/.test(text)) {
    say(`${name}: got "${text}", allowed is a whole number of at most nine digits`);
    process.exit(2);
  }
  return Number(text);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const flavour = flavours.find((name) => name === process.env["FLAVOUR"]);
const startedMs = systemClock.monotonicMs();
const tally = new Tally();
const seed = whole("SEED", 0);
if (seed > 0) await one(seed, tally);
else if (process.env["SYSTEMATIC"] === "1") await systematic(tally);
else await random(tally);
tally.end(startedMs);
process.exit(tally.violations === 0 ? 0 : 1);
