/** Agents that die while bytes are on their way: the import and the export go on with the others. */
import { expect, test } from "bun:test";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseCode } from "@couchestor/common/code/code.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { exportVolume } from "../cli/transfer/export-volume.ts";
import { importFile } from "../cli/transfer/import-file.ts";
import { startStandalone } from "./start.ts";

const program = [process.execPath, join(import.meta.dir, "../../couchestor.ts")];
const mebibytes = 40;

test("a SIGKILL in the middle of an import, and another in the middle of an export, lose nothing", async () => {
  const signal = AbortSignal.timeout(280_000);
  await using dir = await tempDir("agent-loss");
  const path = join(dir.path, "file");
  const sha256 = await writeRandom(path);
  const notes: string[] = [];
  const cluster = await startStandalone({
    program,
    env: process.env,
    clock: systemClock,
    signal,
    dataDir: join(dir.path, "data"),
    agents: 5,
    poolsPerAgent: 1,
    restart: false,
    heartbeatEveryMs: 200,
    offlineAfterMs: 2_000,
    repairAfterMs: 0,
    onNote: (text) => notes.push(text),
  });
  const { client } = cluster;
  const common = {
    client,
    clock: systemClock,
    signal,
    name: "photos",
    onNote: (text: string) => void notes.push(text),
  };
  const kill = (index: number): void => {
    const pid = cluster.agents[index]?.pid() ?? 0;
    if (pid > 0) process.kill(pid, "SIGKILL");
  };
  try {
    const imported = await importFile({
      ...common,
      path,
      code: parseCode("2+1"),
      stripeSizeBytes: 512 * 1024,
      stripesPerRun: 8,
      runsInFlight: 2,
      onProgress: () => kill(0),
    });
    expect(imported.contentSha256).toBe(sha256);
    while (
      !(await client.stripes("photos")).every(
        (run) => run.state === "Healthy" && !run.shards.some((s) => s.nodeName === "node-1"),
      )
    ) {
      await systemClock.sleep(50, signal);
    }
    let parts = 0;
    const sink = (): void => {
      if (++parts === 1) kill(1);
    };
    expect(await exportVolume({ ...common, sink })).toMatchObject({ sha256, matches: true });
    // All other readers are asked as well: each of them has to do without the dead one.
    for (let i = 0; i < 3; i++)
      expect(await exportVolume({ ...common, sink: () => undefined })).toMatchObject({ sha256, matches: true });
  } catch (error) {
    throw new Error(`${notes.join("\n")}\n${error}`, { cause: error });
  } finally {
    await cluster.stop();
  }
}, 300_000);

async function writeRandom(path: string): Promise<string> {
  const prng = seededPrng(5);
  const hasher = new Bun.CryptoHasher("sha256");
  await writeFile(path, "");
  const file = await open(path, "r+");
  try {
    const piece = prng.bytes(1024 * 1024);
    for (let i = 0; i < mebibytes; i++) {
      // Every mebibyte its own, without drawing each byte anew.
      piece.set(prng.bytes(4096), (i * 4096) % piece.length);
      hasher.update(piece);
      await file.write(piece, 0, piece.length, i * piece.length);
    }
  } finally {
    await file.close();
  }
  return hasher.digest("hex");
}
