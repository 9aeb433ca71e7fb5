/**
 * Random faults in the midst of imports, scrubs and deletions, from a seed: processes killed and hung, bytes flipped, segments cut off or removed.
 * After each round everything must be whole again by itself. Run one again with COUCHESTOR_CHAOS_SEED; more rounds with COUCHESTOR_CHAOS_ROUNDS.
 */
import { expect, test } from "bun:test";
import { open, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseCode } from "@couchestor/common/code/code.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { type Prng, seededPrng, systemPrng } from "@couchestor/common/runtime/prng.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { runScrub } from "../cli/maintain/watch-scrub.ts";
import { exportVolume } from "../cli/transfer/export-volume.ts";
import { importFile } from "../cli/transfer/import-file.ts";
import { type Standalone, type StandaloneMember, startStandalone } from "./start.ts";

const program = [process.execPath, join(import.meta.dir, "../../couchestor.ts")];
const seed = Number(process.env["COUCHESTOR_CHAOS_SEED"] ?? systemPrng.u32());
const rounds = Number(process.env["COUCHESTOR_CHAOS_ROUNDS"] ?? 3);
const roundMsMax = 120_000;
const stripe = 256 * 1024;
const sizes = [1, 4095, 4097, stripe - 1, stripe, stripe + 1, 3_460_301, 9 * stripe + 5];

interface World {
  prng: Prng;
  cluster: Standalone;
  dir: string;
  signal: AbortSignal;
  /** Volume → sha256 of what was imported. */
  volumes: Map<string, string>;
  made: number;
  story: string[];
}

const pick = <T>(prng: Prng, items: readonly T[]): T => items[prng.below(items.length)] as T;
const pause = (world: World, msMax: number) => systemClock.sleep(world.prng.below(msMax), world.signal);

test(
  `chaos, seed ${seed}: nothing acknowledged is lost or changed, and all is whole again after each round`,
  async () => {
    console.log(`chaos: COUCHESTOR_CHAOS_SEED=${seed}`);
    await using dir = await tempDir("chaos");
    const signal = AbortSignal.timeout(rounds * roundMsMax);
    const story: string[] = [];
    const options = { program, env: process.env, clock: systemClock, signal, dataDir: join(dir.path, "data") };
    const cluster = await startStandalone({
      ...options,
      ...{
        agents: 5,
        poolsPerAgent: 2,
        restart: false,
        heartbeatEveryMs: 200,
        offlineAfterMs: 1000,
        repairAfterMs: 500,
      },
      onNote: (text) => void story.push(text),
    });
    const prng = seededPrng(seed);
    const world: World = { prng, cluster, dir: dir.path, signal, volumes: new Map(), made: 0, story };
    try {
      for (let round = 0; round < rounds; round++) await playRound(world);
    } catch (error) {
      throw new Error(`seed ${seed}\n${story.join("\n")}\n${error}`, { cause: error });
    } finally {
      await cluster.stop();
    }
  },
  rounds * roundMsMax + 30_000,
);

async function playRound(world: World): Promise<void> {
  const { prng, volumes } = world;
  const work = [importOne(world)];
  if (volumes.size > 0 && prng.below(2) === 0) work.push(deleteOne(world));
  if (volumes.size > 0 && prng.below(3) === 0) work.push(scrubAnyway(world));
  await pause(world, 300);
  const name = pick(prng, Object.keys(faults));
  world.story.push(`fault: ${name}`);
  await faults[name]?.(world);
  await Promise.all(work);
  await whole(world);
  for (const [volume, sha256] of volumes) {
    const { client } = world.cluster;
    const exported = exportVolume({ client, clock: systemClock, signal: world.signal, name: volume, sink: () => {} });
    expect(await exported).toMatchObject({ sha256, matches: true });
  }
}

/** Imports a new file, again and again until it is in: the faults end by themselves. */
async function importOne(world: World): Promise<void> {
  const { prng, cluster, dir, signal, volumes, story } = world;
  const name = `v${world.made++}`;
  const path = join(dir, name);
  const content = prng.bytes(pick(prng, sizes));
  const code = parseCode(pick(prng, ["4+2", "2+1", "replica(3)"]));
  await writeFile(path, content);
  story.push(`import ${name}, ${content.byteLength} bytes`);
  const shape = { code, stripeSizeBytes: stripe, stripesPerRun: 4, runsInFlight: 2 };
  const sha256 = new Bun.CryptoHasher("sha256").update(content).digest("hex");
  for (;;) {
    const importing = importFile({ client: cluster.client, clock: systemClock, signal, name, path, ...shape });
    const outcome = await importing.then(
      (result) => result.contentSha256,
      (error: Error) => error,
    );
    if (typeof outcome === "string") {
      expect(outcome).toBe(sha256);
      volumes.set(name, sha256);
      return;
    }
    story.push(`import ${name}: ${outcome.message}`);
    await systemClock.sleep(100, signal);
  }
}

async function deleteOne({ prng, cluster, signal, volumes, story }: World): Promise<void> {
  const name = pick(prng, [...volumes.keys()]);
  volumes.delete(name);
  story.push(`delete ${name}`);
  // An order whose answer was lost may have been carried out: it is gone, or going.
  for (;;) {
    await cluster.client.deleteVolume(name).catch(() => undefined);
    const left = await cluster.client.volumes().catch(() => undefined);
    if (left?.every((volume) => volume.name !== name || volume.phase === "Deleting")) return;
    await systemClock.sleep(100, signal);
  }
}

async function scrubAnyway({ cluster: { client }, signal }: World): Promise<void> {
  await runScrub({ client, clock: systemClock, signal, deep: true, repair: true }).catch(() => undefined);
}

/** Waits until nothing is left to repair and an audit finds nothing. */
async function whole({ cluster: { client }, signal, story }: World): Promise<void> {
  for (;;) {
    const repair = await client.repair();
    const open = repair.queued + repair.running + repair.blocked.length + repair.waiting.length;
    if (open === 0) {
      const report = await runScrub({ client, clock: systemClock, signal, deep: true, repair: true });
      if (report.state === "Done" && report.findings.length === 0) return;
      story.push(
        `scrub: ${report.findings.length} findings, ${report.repaired} repaired, ${report.error ?? "no error"}`,
      );
    }
    await systemClock.sleep(100, signal);
  }
}

async function restart(world: World, members: readonly StandaloneMember[], awayMsMax: number): Promise<void> {
  await Promise.all(members.map((member) => member.kill()));
  await pause(world, awayMsMax);
  await Promise.all(members.map((member) => member.start()));
}

/** A segment that holds something, of one agent: what is damaged at once must be less than a code can bear. */
async function segmentOf({ prng, cluster }: World): Promise<{ path: string; bytes: number } | undefined> {
  const segments: { path: string; bytes: number }[] = [];
  for (const { path } of pick(prng, cluster.agents).pools) {
    for (const name of await readdir(join(path, "segments"))) {
      const segment = join(path, "segments", name);
      const bytes = (await stat(segment)).size;
      if (bytes > 8192) segments.push({ path: segment, bytes });
    }
  }
  return segments.length === 0 ? undefined : pick(prng, segments);
}

const faults: Record<string, (world: World) => Promise<void>> = {
  "an agent is killed": (world) => restart(world, [pick(world.prng, world.cluster.agents)], 2500),
  "two agents are killed": (world) => restart(world, world.cluster.agents.slice(1, 3), 2500),
  "the brain is killed": (world) => restart(world, [world.cluster.brain], 1000),
  "everything is killed": (world) => restart(world, [world.cluster.brain, ...world.cluster.agents], 1),
  async "an agent hangs"(world) {
    const pid = pick(world.prng, world.cluster.agents).pid();
    process.kill(pid, "SIGSTOP");
    await pause(world, 3000).finally(() => process.kill(pid, "SIGCONT"));
  },
  async "bytes are flipped"(world) {
    const segment = await segmentOf(world);
    if (segment === undefined) return;
    const file = await open(segment.path, "r+");
    for (let i = 0; i < 8; i++) {
      const at = world.prng.below(segment.bytes);
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, at);
      await file.write(Uint8Array.of((byte[0] as number) ^ (1 << world.prng.below(8))), 0, 1, at);
    }
    await file.close();
  },
  async "a segment is cut off"(world) {
    const segment = await segmentOf(world);
    if (segment !== undefined) await truncate(segment.path, world.prng.below(segment.bytes));
  },
  async "a segment is removed"(world) {
    const segment = await segmentOf(world);
    if (segment !== undefined) await rm(segment.path);
  },
};
