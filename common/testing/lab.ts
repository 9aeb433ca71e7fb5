/**
 * For tests that run in the hardware lab (`*.lab.test.ts`): asks the host for disks that come and go, faults and slowness.
 */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { systemClock } from "../runtime/clock.ts";
import { type LabRequestInput, labReplySchema, labRequestSchema } from "./lab-protocol.ts";

const job = "/job";
let sent = 0;

/** Has the host do it and waits until it is done. Throws the host's words when it refuses, and at once outside of the lab. */
export async function askHost(request: LabRequestInput, timeoutMs = 180_000): Promise<void> {
  if (process.env["COUCHESTOR_LAB"] !== "1") throw new Error("this test runs in the hardware lab: make lab");
  const checked = labRequestSchema.parse(request);
  const file = `${process.pid}-${sent++}.json`;
  await mkdir(`${job}/requests`, { recursive: true });
  await writeFile(`${job}/requests/${file}.tmp`, JSON.stringify(checked));
  await rename(`${job}/requests/${file}.tmp`, `${job}/requests/${file}`);
  const reply = await until(() => readReply(`${job}/replies/${file}`), timeoutMs, `no answer to ${request.verb}`);
  if (reply.error !== undefined) throw new Error(`the lab's host: ${reply.error}`);
}

async function readReply(path: string): Promise<{ error?: string | undefined } | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  await rm(path, { force: true });
  return labReplySchema.parse(JSON.parse(text));
}

/** The most that one look counts for: the clock of an emulated machine on a busy host may jump by minutes. */
const roundMsMax = 500;

/** What `look` finds, tried every 20 ms; throws `words` after `timeoutMs`. For what the kernel does in its own time. */
export async function until<T>(look: () => Promise<T | undefined>, timeoutMs: number, words: string): Promise<T> {
  let waitedMs = 0;
  let beganMs = systemClock.monotonicMs();
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (waitedMs > timeoutMs) throw new Error(`${words} within ${timeoutMs} ms`);
    await systemClock.sleep(20);
    const nowMs = systemClock.monotonicMs();
    waitedMs += Math.min(roundMsMax, nowMs - beganMs);
    beganMs = nowMs;
  }
}

/** Runs a program of the guest; its output when it succeeds, an error with all it said otherwise. */
export function command(...words: string[]): string {
  const run = Bun.spawnSync(words, { stdin: "ignore" });
  if (run.exitCode !== 0) {
    throw new Error(`${words.join(" ")}: exit ${run.exitCode}: ${run.stderr.toString()}${run.stdout.toString()}`);
  }
  return run.stdout.toString();
}
