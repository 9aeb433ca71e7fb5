import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { endsStore, openDatabase, sqliteAppError } from "./sqlite-file.ts";
import { openSqliteStore } from "./sqlite-store.ts";

const folder = mkdtempSync(join(tmpdir(), "sqlite-file-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("every commit is synced and nobody else gets in: WAL, synchronous FULL, exclusive", () => {
  const db = openDatabase(join(folder, "a.db"));
  const pragma = (name: string) => Object.values(db.query(`PRAGMA ${name}`).get() as object)[0];
  expect(pragma("journal_mode")).toBe("wal");
  expect(pragma("synchronous")).toBe(2);
  expect(pragma("locking_mode")).toBe("exclusive");
  expect(readdirSync(folder)).toEqual(["a.db", "a.db-wal"]);
  db.close();
});

test("what a crash left of an unfinished new database is swept away", () => {
  const path = join(folder, "b.db");
  for (const suffix of ["", "-wal", "-journal"]) writeFileSync(`${path}.new${suffix}`, "left behind");
  openDatabase(path).close();
  expect(readdirSync(folder).filter((name) => name.startsWith("b."))).toEqual(["b.db"]);
});

test("a medium that fails writes ends the store: that write and every later call fail, what was acknowledged is there", async () => {
  const path = join(folder, "c.db");
  const script = `
    import { openSqliteStore } from ${JSON.stringify(join(import.meta.dir, "sqlite-store.ts"))};
    import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
    import { systemClock } from "@couchestor/common/runtime/clock.ts";
    import { systemPrng } from "@couchestor/common/runtime/prng.ts";
    import { nodeObject } from ${JSON.stringify(join(import.meta.dir, "conformance-objects.ts"))};
    const store = await openSqliteStore(${JSON.stringify(path)}, { clock: systemClock, prng: systemPrng });
    const acknowledged = [];
    const code = (error) => error.code;
    let failed;
    for (let i = 0; !failed && i < 1000; i++) {
      const name = "n" + i;
      const object = { ...nodeObject(name), metadata: { name, annotations: { pad: "x".repeat(9000) } } };
      await store.create(storageNodeKind, object).then(() => acknowledged.push(name), (error) => (failed = error.code));
    }
    const later = [
      await store.get(storageNodeKind, "n0").catch(code),
      await store.list(storageNodeKind).catch(code),
      await store.create(storageNodeKind, nodeObject("later")).catch(code),
    ];
    await store.close();
    process.stdout.write(JSON.stringify({ acknowledged, failed, later }));`;
  // A limit on the length of files: writes beyond it fail with EFBIG, which SQLite reports as an input/output error.
  const child = Bun.spawnSync(
    ["bash", "-c", `trap "" XFSZ; ulimit -f 400; exec "$0" -e "$1"`, process.execPath, script],
    {
      cwd: import.meta.dir,
    },
  );
  const told = JSON.parse(child.stdout.toString());
  expect(told.failed).toBe("Unavailable");
  expect(told.later).toEqual(["Unavailable", "Unavailable", "Unavailable"]);
  expect(told.acknowledged.length).toBeGreaterThan(5);
  const store = await openSqliteStore(path, { clock: systemClock, prng: seededPrng(1) });
  const names = (await store.list(storageNodeKind)).items.map((item) => item.metadata.name);
  for (const name of told.acknowledged) expect(names).toContain(name);
  await store.close();
});

test("SQLite's and the system's codes become errors that say what to do; only a full disk lets the store go on", () => {
  const cases: [string, string, string][] = [
    ["SQLITE_CORRUPT_INDEX", "FailedPrecondition", "couchestor volume recover"],
    ["SQLITE_NOTADB", "FailedPrecondition", "couchestor volume recover"],
    ["SQLITE_BUSY", "FailedPrecondition", "stop the other one first"],
    ["SQLITE_FULL", "NoSpace", "Free some"],
    ["ENOSPC", "NoSpace", "Free some"],
    ["SQLITE_READONLY_DIRECTORY", "ReadOnly", "refuses writes"],
    ["EROFS", "ReadOnly", "refuses writes"],
    ["SQLITE_CANTOPEN", "FailedPrecondition", "folder must exist"],
    ["EACCES", "FailedPrecondition", "writable"],
    ["SQLITE_IOERR_FSYNC", "Unavailable", "SQLITE_IOERR_FSYNC"],
  ];
  for (const [sqlite, code, words] of cases) {
    const error = sqliteAppError(Object.assign(new Error("no"), { code: sqlite }), "/d/brain.db");
    expect([sqlite, error.code, error.retryable]).toEqual([sqlite, code as never, false]);
    expect(error.message).toContain(words);
    expect(error.message).toContain("/d/brain.db");
    expect(endsStore(error)).toBe(code !== "NoSpace");
  }
});
