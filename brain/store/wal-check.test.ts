import { afterAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { nodeObject } from "./conformance-objects.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import { walDamageOf } from "./wal-check.ts";

const folder = mkdtempSync(join(tmpdir(), "wal-check-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const deps = { clock: systemClock, prng: seededPrng(1) };
const commits = 40;
let copies = 0;

/** The database and the log of a store that was not closed, with `commits` commits of one object each. */
async function made(): Promise<{ db: Uint8Array; wal: Uint8Array }> {
  const path = join(folder, `made-${copies++}.db`);
  const store = await openSqliteStore(path, deps);
  for (let i = 0; i < commits; i++) await store.create(storageNodeKind, nodeObject(`n${i}`));
  const files = { db: readFileSync(path), wal: readFileSync(`${path}-wal`) };
  await store.close();
  return files;
}

/** How many objects a copy of these files gives back, "refused" when it is not opened. */
async function opened(db: Uint8Array, wal: Uint8Array): Promise<number | "refused"> {
  const path = join(folder, `copy-${copies++}.db`);
  writeFileSync(path, db);
  writeFileSync(`${path}-wal`, wal);
  try {
    const store = await openSqliteStore(path, deps);
    const { items } = await store.list(storageNodeKind);
    await store.close();
    return items.length;
  } catch (error) {
    if (isAppError(error, "FailedPrecondition")) return "refused";
    throw error;
  } finally {
    rmSync(path);
  }
}

test("an undamaged log is used as it is", async () => {
  const { db, wal } = await made();
  expect(walDamageOf(wal)).toBeUndefined();
  expect(await opened(db, wal)).toBe(commits);
});

test("a bit flipped anywhere in the log: at most the last commit is taken for torn, never an earlier one taken back", async () => {
  const { db, wal } = await made();
  const prng = seededPrng(20260401);
  let refused = 0;
  for (let round = 0; round < 250; round++) {
    const at = round < 32 ? round : prng.below(wal.length);
    const flipped = Uint8Array.from(wal);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << prng.below(8));
    const objects = await opened(db, flipped);
    if (objects === "refused") refused++;
    else expect([at, objects >= commits - 1]).toEqual([at, true]);
  }
  expect(refused).toBeGreaterThan(200);
});

test("a log whose last commit a crash tore opens without that commit", async () => {
  const { db, wal } = await made();
  for (const cut of [1, 100, 4096, 4120]) {
    expect(await opened(db, wal.subarray(0, wal.length - cut))).toBe(commits - 1);
  }
  const torn = Uint8Array.from(wal);
  torn.fill(0, torn.length - 3000);
  expect(await opened(db, torn)).toBe(commits - 1);
});

test("a log that was begun again over an older one is judged by its own frames only", async () => {
  const path = join(folder, "restarted.db");
  const store = await openSqliteStore(path, deps);
  const pad = { annotations: { pad: "x".repeat(3000) } };
  let size = 0;
  let rounds = 0;
  // The log is begun again behind a checkpoint, which comes after about a thousand pages: it stops growing then.
  for (let i = 0; rounds < 200; i++) {
    await store.create(storageNodeKind, { ...nodeObject(`n${i}`), metadata: { name: `n${i}`, ...pad } });
    const now = Bun.file(`${path}-wal`).size;
    rounds = now === size ? rounds + 1 : 0;
    size = now;
  }
  copyFileSync(path, join(folder, "again.db"));
  copyFileSync(`${path}-wal`, join(folder, "again.db-wal"));
  const { items } = await store.list(storageNodeKind);
  await store.close();
  const again = await openSqliteStore(join(folder, "again.db"), deps);
  expect((await again.list(storageNodeKind)).items).toHaveLength(items.length);
  await again.close();
});

test("no log, an empty one, one of zeros and one without a whole header hold no commit", () => {
  for (const size of [0, 1, 31, 32, 5000]) expect(walDamageOf(new Uint8Array(size))).toBeUndefined();
  expect(walDamageOf(Uint8Array.of(1, 2, 3))).toBeUndefined();
  expect(walDamageOf(new Uint8Array(5000).fill(7))).toContain("header");
});
