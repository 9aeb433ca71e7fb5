import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { resourceStoreConformance } from "./conformance.ts";
import { expectCode, nodeObject, nodeStatus } from "./conformance-objects.ts";
import { schemaVersion } from "./sqlite-file.ts";
import { openSqliteStore } from "./sqlite-store.ts";

const folder = mkdtempSync(join(tmpdir(), "sqlite-store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newPath = () => join(folder, `${files++}.db`);
const deps = { clock: systemClock, prng: seededPrng(1) };

resourceStoreConformance("SQLite", async () => {
  const store = await openSqliteStore(newPath(), deps);
  return { store, dispose: () => store.close() };
});

describe("SQLite store file", () => {
  test("objects and the revision outlive a close; a watch of an earlier run must list again", async () => {
    const path = newPath();
    const first = await openSqliteStore(path, deps);
    const created = await first.create(storageNodeKind, { ...nodeObject("a"), status: nodeStatus });
    await first.create(storageNodeKind, nodeObject("b"));
    await first.delete(storageNodeKind, "b");
    const { revision } = await first.list(storageNodeKind);
    await first.close();
    const second = await openSqliteStore(path, deps);
    expect(await second.get(storageNodeKind, "a")).toEqual(created);
    expect((await second.list(storageNodeKind)).revision).toBe(revision);
    const old = second.watch(storageNodeKind, String(created.metadata.resourceVersion), new AbortController().signal);
    await expectCode(old[Symbol.asyncIterator]().next(), "Conflict");
    const next = await second.create(storageNodeKind, nodeObject("c"));
    expect(Number(next.metadata.resourceVersion)).toBeGreaterThan(Number(revision));
    await second.close();
  });

  test("writes under way at close are stored; calls behind it fail clearly and watches end", async () => {
    const path = newPath();
    const store = await openSqliteStore(path, deps);
    const watch = store.watch(
      storageNodeKind,
      (await store.list(storageNodeKind)).revision,
      new AbortController().signal,
    );
    const iterator = watch[Symbol.asyncIterator]();
    const writes = Promise.all(
      Array.from({ length: 300 }, (_, i) => store.create(storageNodeKind, nodeObject(`n${i}`))),
    );
    await store.close();
    expect(await writes).toHaveLength(300);
    await expectCode(store.get(storageNodeKind, "n1"), "Unavailable");
    await expectCode(store.create(storageNodeKind, nodeObject("x")), "Unavailable");
    await expectCode(iterator.next(), "Unavailable");
    const again = await openSqliteStore(path, deps);
    expect((await again.list(storageNodeKind)).items).toHaveLength(300);
    await again.close();
  });

  test("a second opener is refused, in this process and in another", async () => {
    const path = newPath();
    const store = await openSqliteStore(path, deps);
    expect((await expectCode(openSqliteStore(path, deps), "FailedPrecondition")).message).toContain("another process");
    const script = `
      import { openSqliteStore } from ${JSON.stringify(join(import.meta.dir, "sqlite-store.ts"))};
      await openSqliteStore(${JSON.stringify(path)}, {}).catch((error) => console.log(error.code, error.message));`;
    const child = Bun.spawnSync([process.execPath, "-e", script]);
    expect(child.stdout.toString()).toContain("FailedPrecondition");
    expect(child.stdout.toString()).toContain("another process");
    await store.close();
    await (await openSqliteStore(path, deps)).close();
  });

  test("a slow watcher falls off the bounded change log with Conflict; others go on", async () => {
    const store = await openSqliteStore(newPath(), { ...deps, changeLog: { changesMax: 10, bytesMax: 1024 * 1024 } });
    const { revision } = await store.list(storageNodeKind);
    const slow = store.watch(storageNodeKind, revision, new AbortController().signal)[Symbol.asyncIterator]();
    await store.create(storageNodeKind, nodeObject("n"));
    expect((await slow.next()).value?.object.metadata.name).toBe("n");
    for (let i = 0; i < 11; i++) await store.create(storageNodeKind, nodeObject(`n${i}`));
    await expectCode(slow.next(), "Conflict");
    await store.close();
  });

  test("a list of many pages is a snapshot although others write between its pages", async () => {
    const store = await openSqliteStore(newPath(), deps);
    const name = (i: number) => `n-${String(i).padStart(6, "0")}`;
    const made = await Promise.all(
      Array.from({ length: 3000 }, (_, i) => store.create(storageNodeKind, nodeObject(name(i), { v: "0" }))),
    );
    let listing = true;
    const revisions = new Map<number, Map<string, string>>();
    const model = new Map(made.map((object) => [object.metadata.name, "0"]));
    const writing = (async () => {
      const prng = seededPrng(3);
      for (let step = 0; listing; step++) {
        const i = prng.below(3000);
        const object = await store.get(storageNodeKind, name(i));
        if (!object) await store.create(storageNodeKind, nodeObject(name(i), { v: `${step}` }));
        else if (step % 3 === 0) await store.delete(storageNodeKind, name(i));
        else await store.update(storageNodeKind, { ...object, spec: { labels: { v: `${step}` } } });
        if (object && step % 3 === 0) model.delete(name(i));
        else model.set(name(i), `${step}`);
        revisions.set(3000 + 1 + step + 1, new Map(model));
      }
    })();
    let changedMeanwhile = 0;
    for (let round = 0; round < 5; round++) {
      const before = Number((await store.list(storageNodeKind, "none")).revision);
      const listed = await store.list(storageNodeKind, "n-");
      changedMeanwhile += Number(listed.revision) - before;
      const names = listed.items.map((item) => item.metadata.name);
      expect(names).toEqual([...names].sort());
      while (!revisions.has(Number(listed.revision))) await new Promise((resolve) => setImmediate(resolve));
      const expected = revisions.get(Number(listed.revision));
      expect(new Map(listed.items.map((item) => [item.metadata.name, item.spec.labels["v"] ?? ""]))).toEqual(
        expected as never,
      );
    }
    listing = false;
    await writing;
    expect(changedMeanwhile).toBeGreaterThan(5);
    await store.close();
  });

  test("a full disk is NoSpace for that write; what was acknowledged stays, and writing goes on once there is room", async () => {
    const path = newPath();
    const store = await openSqliteStore(path, { ...deps, databasePagesMax: 64 });
    const stored: string[] = [];
    const big = (name: string) => ({ ...nodeObject(name), metadata: { name, annotations: { a: "x".repeat(20_000) } } });
    const fill = async () => {
      for (let i = 0; i < 64; i++) stored.push((await store.create(storageNodeKind, big(`n${i}`))).metadata.name);
    };
    await expectCode(fill(), "NoSpace");
    expect(stored.length).toBeGreaterThan(2);
    expect((await store.list(storageNodeKind)).items.map((item) => item.metadata.name)).toEqual([...stored].sort());
    await store.delete(storageNodeKind, "n0");
    await store.create(storageNodeKind, nodeObject("small"));
    await store.close();
    const again = await openSqliteStore(path, deps);
    expect((await again.list(storageNodeKind)).items).toHaveLength(stored.length);
    await again.close();
  });
});

describe("SQLite store: damage", () => {
  async function made(count = 200): Promise<string> {
    const path = newPath();
    const store = await openSqliteStore(path, deps);
    await Promise.all(
      Array.from({ length: count }, (_, i) => store.create(storageNodeKind, nodeObject(`n${i}`, { i: `${i}` }))),
    );
    await store.close();
    return path;
  }

  test("not a database, empty, truncated, of another program: an error that says what to do", async () => {
    const text = newPath();
    writeFileSync(text, "this is no database\n".repeat(500));
    const empty = newPath();
    writeFileSync(empty, "");
    const cut = await made();
    truncateSync(cut, 8192);
    const foreign = newPath();
    const db = new Database(foreign, { create: true });
    db.run("CREATE TABLE t (a)");
    db.close();
    for (const path of [text, empty, cut, foreign]) {
      const error = await expectCode(openSqliteStore(path, deps), "FailedPrecondition");
      expect(error.message).toContain("couchestor volume recover");
      expect(error.message).toContain(path);
      expect(existsSync(path)).toBe(true);
    }
  });

  test("a folder that does not exist", async () => {
    await expectCode(openSqliteStore(join(folder, "absent", "x.db"), deps), "FailedPrecondition");
  });

  test("a database of a newer program is refused", async () => {
    const path = await made(1);
    const db = new Database(path);
    db.run(`PRAGMA user_version = ${schemaVersion + 1}`);
    db.close();
    expect((await expectCode(openSqliteStore(path, deps), "IncompatibleVersion")).message).toContain(
      `${schemaVersion + 1}`,
    );
  });

  test("a row that was changed behind our back is an error that names it; the others are read", async () => {
    const changes = [
      "spec = '{}'",
      "spec = replace(spec, '\"7\"', '\"8\"')",
      "metadata = 'x'",
      "revision = revision - 1",
      "status = '1'",
    ];
    for (const change of changes) {
      const path = await made(10);
      const db = new Database(path);
      db.run(`UPDATE objects SET ${change} WHERE name = 'n7'`);
      db.close();
      const store = await openSqliteStore(path, deps);
      const error = await expectCode(store.get(storageNodeKind, "n7"), "Internal");
      expect(error.data["name"]).toBe("n7");
      expect(error.message).toContain("couchestor volume recover");
      await expectCode(store.list(storageNodeKind), "Internal");
      await expectCode(store.delete(storageNodeKind, "n7"), "Internal");
      expect((await store.get(storageNodeKind, "n6"))?.spec.labels).toEqual({ i: "6" });
      await store.create(storageNodeKind, nodeObject("later"));
      await store.close();
    }
  });

  test("a bit flipped anywhere: every object reads as written or is an error, never another", async () => {
    const path = await made(60);
    const bytes = readFileSync(path);
    const prng = seededPrng(20260102);
    for (let round = 0; round < 150; round++) {
      const flipped = Buffer.from(bytes);
      const at = prng.below(flipped.length);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << prng.below(8));
      const copy = newPath();
      writeFileSync(copy, flipped);
      await checkFlipped(copy, `bit of byte ${at} in round ${round}`);
      rmSync(copy, { force: true });
    }
  });

  async function checkFlipped(path: string, where: string): Promise<void> {
    const store = await openSqliteStore(path, deps).catch((error: Error) => error);
    if (store instanceof Error) {
      expect(store.name, where).toBe("AppError");
      return;
    }
    for (let i = 0; i < 60; i++) {
      const got = await store.get(storageNodeKind, `n${i}`).catch((error: Error) => error);
      if (got instanceof Error) expect(got.name, where).toBe("AppError");
      else expect(got?.spec.labels, where).toEqual({ i: `${i}` });
    }
    await store.close();
  }

  test("a log cut short at any page keeps a prefix of the commits, and the file stays sound", async () => {
    const path = newPath();
    const store = await openSqliteStore(path, deps);
    for (let i = 0; i < 30; i++) await store.create(storageNodeKind, nodeObject(`n${String(i).padStart(2, "0")}`));
    const copies: { file: string; wal: number }[] = [];
    const wal = Bun.file(`${path}-wal`).size;
    expect(wal).toBeGreaterThan(32);
    for (let size = wal; size > 0; size -= 1777) {
      const file = newPath();
      copyFileSync(path, file);
      copyFileSync(`${path}-wal`, `${file}-wal`);
      truncateSync(`${file}-wal`, size);
      copies.push({ file, wal: size });
    }
    await store.close();
    let before = 31;
    for (const { file } of copies) {
      const cut = await openSqliteStore(file, deps);
      const names = (await cut.list(storageNodeKind)).items.map((item) => item.metadata.name);
      expect(names).toEqual(Array.from({ length: names.length }, (_, i) => `n${String(i).padStart(2, "0")}`));
      expect(names.length).toBeLessThanOrEqual(before);
      before = names.length;
      await cut.close();
    }
    expect(before).toBe(0);
  });
});
