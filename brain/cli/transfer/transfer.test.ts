import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { type TempDir, tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { FakeCluster, hash } from "../testing/fake-cluster.ts";
import { run } from "../testing/run.ts";

let dir: TempDir;
let cluster: FakeCluster;
let file: string;
let content: Uint8Array;
/** Five runs of four stripes of 64 KiB, the last one short. */
const shape = ["--stripe-size", "64KiB", "--stripes-per-run", "4"];

beforeEach(async () => {
  dir = await tempDir("cli-transfer");
  cluster = new FakeCluster();
  content = seededPrng(7).bytes(4 * 4 * 65_536 + 12_345);
  file = join(dir.path, "file.img");
  await writeFile(file, content);
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

const importIt = (...more: string[]) =>
  run(["volume", "import", "photos", "--file", file, ...shape, "--brain", cluster.url, "--json", ...more]);
const stored = () =>
  Buffer.concat([...cluster.volume("photos").runs].sort(([a], [b]) => a - b).map(([, r]) => r.bytes));

describe("volume import", () => {
  test("brings in every byte, with the sha256 of the file", async () => {
    const { code, json } = await importIt();
    expect(code).toBe(0);
    expect(stored().equals(Buffer.from(content))).toBe(true);
    expect(json()).toMatchObject({
      contentSha256: hash(content),
      runs: 5,
      runsAlreadyThere: 0,
      retries: 0,
      bytesSent: content.length,
    });
    expect(cluster.volume("photos").view).toMatchObject({ phase: "Ready", contentSha256: hash(content) });
  });

  test("goes on where an interrupted import stopped, sending only what is missing", async () => {
    cluster.faults.onPut = (runIndex) => (runIndex === 3 ? new AppError("NoSpace", "all pools are full") : undefined);
    const first = await importIt("--runs-in-flight", "1");
    expect(first.code).toBe(1);
    expect(first.json()).toMatchObject({ error: { code: "NoSpace" } });
    const before = cluster.volume("photos").runs.size;
    expect(before).toBe(3);
    cluster.faults = {};
    const second = await importIt();
    expect(second.code).toBe(0);
    expect(second.json()).toMatchObject({ runsAlreadyThere: 3, contentSha256: hash(content) });
    expect(stored().equals(Buffer.from(content))).toBe(true);
  });

  test("an act that is dropped, lost or forgotten by its mover is done again with a new grant", async () => {
    cluster.faults.onPut = (_run, count) =>
      count === 1
        ? "drop"
        : count === 2
          ? new AppError("NotFound", "no such act here")
          : count === 3
            ? new AppError("Unavailable", "the agent stops")
            : undefined;
    const { code, json } = await importIt("--runs-in-flight", "1");
    expect(code).toBe(0);
    expect(json()).toMatchObject({ retries: 3, contentSha256: hash(content) });
    expect(stored().equals(Buffer.from(content))).toBe(true);
  });

  test("a run that was committed although its answer was lost is not sent twice", async () => {
    cluster.faults.onPut = (_run, count) => (count === 1 ? "close" : undefined);
    const { code, json } = await importIt("--runs-in-flight", "1");
    expect(code).toBe(0);
    expect(json()).toMatchObject({ retries: 1, runsAlreadyThere: 1 });
    expect(cluster.calls.filter((call) => call.startsWith("PUT")).length).toBe(5);
  });

  test("gives up after a bounded number of tries and says how to go on", async () => {
    cluster.faults.onPut = () => new AppError("Unavailable", "the agent stops");
    const { code, json } = await importIt("--runs-in-flight", "1");
    expect(code).toBe(1);
    expect(json<{ error: { detail: string } }>().error.detail).toContain(
      "the same command goes on: couchestor volume import photos",
    );
    expect(cluster.calls.filter((call) => call.startsWith("PUT")).length).toBe(10);
  });

  for (const [how, change] of [
    ["grew", () => appendFile(file, "more")],
    ["shrank", () => truncate(file, 1000)],
    ["was written to", () => writeFile(file, Buffer.from(content).reverse())],
  ] as const) {
    test(`a file that ${how} meanwhile is noticed and the volume is not Ready`, async () => {
      cluster.faults.onPut = (_run, count) => (count === 2 ? new AppError("Unavailable", "wait") : undefined);
      const put = cluster.faults.onPut;
      let changed: Promise<void> | undefined;
      cluster.faults.onPut = (runIndex, count) => {
        changed ??= change();
        return put(runIndex, count);
      };
      const { code, json } = await importIt("--runs-in-flight", "1");
      await changed;
      expect(code).toBe(1);
      expect(json<{ error: { code: string; detail: string } }>().error).toMatchObject({ code: "Conflict" });
      expect(json<{ error: { detail: string } }>().error.detail).toContain("changed while it was imported");
      expect(cluster.volume("photos").view.phase).toBe("Importing");
    });
  }

  test("a volume that is deleted meanwhile ends the import at once", async () => {
    cluster.faults.onPut = (_run, count) => {
      if (count === 2) cluster.volumes.delete("photos");
      return count === 2 ? new AppError("Unavailable", "gone") : undefined;
    };
    const { code, json } = await importIt("--runs-in-flight", "1");
    expect(code).toBe(1);
    expect(json<{ error: { detail: string } }>().error.detail).toContain("was deleted while it was imported");
  });

  test("a volume that is there already is not touched", async () => {
    cluster.addReady("photos", new Uint8Array(4096));
    const { code, json } = await importIt();
    expect(code).toBe(1);
    expect(json<{ error: { code: string; detail: string } }>().error).toMatchObject({ code: "AlreadyExists" });
    expect(cluster.calls.some((call) => call.startsWith("PUT"))).toBe(false);
  });

  test.each([
    ["missing", "no-such-file", "there is no such file"],
    ["a folder", ".", "not a regular file"],
    ["empty", "empty", "is empty"],
  ])("a file that is %s is refused before anything is made", async (_what, name, message) => {
    await writeFile(join(dir.path, "empty"), "");
    const { code, stderr } = await run([
      "volume",
      "import",
      "photos",
      "--file",
      join(dir.path, name),
      "--brain",
      cluster.url,
    ]);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
    expect(cluster.volumes.size).toBe(0);
  });
});

describe("volume export", () => {
  const exportIt = (...more: string[]) =>
    run(["volume", "export", "photos", "--file", join(dir.path, "out"), "--brain", cluster.url, "--json", ...more]);
  beforeEach(() => void cluster.addReady("photos", content));

  test("writes every byte and compares with the sha256 of the import", async () => {
    const { code, json } = await exportIt();
    expect(code).toBe(0);
    expect(json()).toMatchObject({ sha256: hash(content), matches: true, length: content.length });
    expect((await readFile(join(dir.path, "out"))).equals(Buffer.from(content))).toBe(true);
  });

  test("a part, on stdout, with nothing else there", async () => {
    const { code, stdoutBytes } = await run([
      "volume",
      "export",
      "photos",
      "--file",
      "-",
      "--offset",
      "100",
      "--length",
      "3",
      "--brain",
      cluster.url,
      "--json",
    ]);
    expect(code).toBe(0);
    expect(stdoutBytes.equals(Buffer.from(content.slice(100, 103)))).toBe(true);
  });

  test("goes on with another agent when the reader dies in the middle", async () => {
    cluster.faults.onRead = (count) =>
      count === 1 ? "cut" : count === 2 ? new AppError("Unavailable", "gone") : undefined;
    const { code, json } = await exportIt();
    expect(code).toBe(0);
    expect(json()).toMatchObject({ matches: true, retries: 2 });
  });

  test("wrong bytes are never given the file's name", async () => {
    const volume = cluster.volume("photos");
    const first = volume.runs.get(0);
    first?.bytes.set([(first.bytes[5] ?? 0) ^ 1], 5);
    const { code, json } = await exportIt();
    expect(code).toBe(1);
    expect(json()).toMatchObject({ matches: false, ok: false });
    expect((await readdir(dir.path)).sort()).toEqual(["file.img"]);
  });

  test("an error in the middle leaves no file behind", async () => {
    cluster.faults.onRead = () => new AppError("Unrecoverable", "stripe 4 has 3 of 4 shards");
    const { code, json } = await exportIt();
    expect(code).toBe(1);
    expect(json()).toMatchObject({ error: { code: "Unrecoverable" } });
    expect((await readdir(dir.path)).sort()).toEqual(["file.img"]);
  });

  test("an existing file is replaced only when asked to", async () => {
    await writeFile(join(dir.path, "out"), "mine");
    const refused = await exportIt();
    expect(refused.code).toBe(1);
    expect(await readFile(join(dir.path, "out"), "utf8")).toBe("mine");
    expect((await exportIt("--overwrite")).code).toBe(0);
  });

  test("a range beyond the end says how long the volume is", async () => {
    const { code, json } = await exportIt("--offset", "2GiB");
    expect(code).toBe(2);
    expect(json<{ error: { detail: string } }>().error.detail).toContain(`${content.length} bytes`);
  });

  test("a volume whose import is not finished is not read", async () => {
    const volume = cluster.volume("photos");
    volume.view = { ...volume.view, phase: "Importing" };
    const { code, json } = await exportIt();
    expect(code).toBe(1);
    expect(json()).toMatchObject({ error: { code: "FailedPrecondition" } });
  });
});
