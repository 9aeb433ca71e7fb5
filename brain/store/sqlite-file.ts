/**
 * The database file: made whole or not at all, opened by one process, refused when it is not ours, of a newer program, or damaged.
 *
 * Journal mode WAL with `synchronous=FULL`: each commit is one append and one fsync of the log, and SQLite syncs the folder when it makes the
 * log, so an acknowledged commit survives SIGKILL and power loss. (In WAL mode `NORMAL` would not: it syncs at checkpoints only. A rollback
 * journal would survive too, at the price of two to four fsyncs a commit.) What WAL mode lacks, notice of a log damaged in its middle, is in
 * `wal-check.ts`. `locking_mode=EXCLUSIVE` keeps the file locked for as long as it is
 * open and the WAL index in this process's memory, so nobody else reads or writes it; the lock dies with the process.
 */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { walDamage } from "./wal-check.ts";

/** "CoSt": tells our databases from others. */
export const applicationId = 0x436f_5374;
export const schemaVersion = 1;
/** At 4096 bytes a page: 64 GiB. */
export const databasePagesMax = 16 * 1024 * 1024;

const recoverAdvice =
  "Keep the file for inspection, start the brain with a fresh data directory and run `couchestor volume recover` to rebuild it from the disks";

/** Opens the database at `path`, making it if there is none. Throws `AppError` saying what is wrong and what to do. */
export function openDatabase(path: string, pagesMax = databasePagesMax): Database {
  if (!existsSync(path)) createDatabase(path);
  if (statSync(path).size === 0) throw damagedFile(path, "the file is empty");
  const damage = walDamage(path);
  if (damage !== undefined) throw damagedFile(path, damage);
  let db: Database | undefined;
  try {
    db = new Database(path, { readwrite: true, create: false, strict: true });
    configure(db, pagesMax);
    takeLock(db);
    checkIdentity(db, path);
    checkIntegrity(db, path);
    return db;
  } catch (error) {
    db?.close();
    throw sqliteAppError(error, path);
  }
}

function configure(db: Database, pagesMax: number): void {
  db.run("PRAGMA busy_timeout = 0");
  db.run("PRAGMA locking_mode = EXCLUSIVE");
  db.run("PRAGMA trusted_schema = OFF");
  db.run("PRAGMA cell_size_check = ON");
  db.run("PRAGMA synchronous = FULL");
  db.run(`PRAGMA max_page_count = ${pagesMax}`);
}

function takeLock(db: Database): void {
  const mode = db.query<{ journal_mode: string }, []>("PRAGMA journal_mode = WAL").get()?.journal_mode;
  if (mode !== "wal")
    throw new AppError("FailedPrecondition", `the file system refuses SQLite's WAL mode (got ${mode})`);
  db.run("BEGIN EXCLUSIVE");
  db.run("COMMIT");
}

/**
 * Makes the tables under another name and links the finished file to its own, so that no crash leaves half a database, and an empty file is
 * known for damage. Two processes don't do this at once: each holds the lock of its data directory.
 */
function createDatabase(path: string): void {
  const unfinished = `${path}.new`;
  try {
    sweep(unfinished);
    const db = new Database(unfinished, { readwrite: true, create: true, strict: true });
    try {
      db.run("PRAGMA locking_mode = EXCLUSIVE");
      db.run("PRAGMA synchronous = FULL");
      createTables(db);
    } finally {
      db.close();
    }
    linkSync(unfinished, path);
    syncFolder(dirname(path));
    sweep(unfinished);
  } catch (error) {
    throw sqliteAppError(error, path);
  }
}

function sweep(unfinished: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(unfinished + suffix, { force: true });
}

function createTables(db: Database): void {
  db.run("BEGIN EXCLUSIVE");
  db.run(`PRAGMA application_id = ${applicationId}`);
  db.run(`PRAGMA user_version = ${schemaVersion}`);
  db.run("CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL) STRICT");
  db.run("INSERT INTO head (one, revision) VALUES (1, 1)");
  db.run(
    `CREATE TABLE objects (
      id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
      metadata TEXT NOT NULL, spec TEXT NOT NULL, status TEXT, crc INTEGER NOT NULL, UNIQUE (kind, name)
    ) STRICT`,
  );
  db.run("COMMIT");
}

function syncFolder(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function checkIdentity(db: Database, path: string): void {
  const id = pragmaNumber(db, "application_id");
  if (id !== applicationId)
    throw damagedFile(path, `it is a SQLite database, but not one of CoucheStor (application_id ${id})`);
  const version = pragmaNumber(db, "user_version");
  if (version === schemaVersion) return;
  throw new AppError(
    "IncompatibleVersion",
    `${path}: the database has schema version ${version}; this program knows ${schemaVersion}. Start the version that wrote it, or a newer one`,
    { data: { path, found: version, known: schemaVersion } },
  );
}

/** The full check, not the quick one: only it compares index and table, and an object that its index has lost would seem not to exist. */
function checkIntegrity(db: Database, path: string): void {
  const found = db.query<{ integrity_check: string }, []>("PRAGMA integrity_check(3)").all();
  const problems = found.map((row) => row.integrity_check).filter((text) => text !== "ok");
  if (problems.length > 0) throw damagedFile(path, problems.join("; "));
}

function pragmaNumber(db: Database, name: "application_id" | "user_version"): number {
  const row = db.query<Record<string, number>, []>(`PRAGMA ${name}`).get();
  return Number(row?.[name]);
}

function damagedFile(path: string, why: string, cause?: unknown): AppError {
  return new AppError("FailedPrecondition", `${path}: the brain's database can't be used: ${why}. ${recoverAdvice}`, {
    data: { path, why },
    cause,
  });
}

/** SQLite's and the file system's errors as ours. */
export function sqliteAppError(error: unknown, path: string): AppError {
  if (error instanceof AppError) return error;
  const code = String((error as { code?: unknown } | undefined)?.code ?? "");
  const why = error instanceof Error ? error.message : String(error);
  const options = { data: { path, sqlite: code, why }, cause: error };
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return damagedFile(path, why, error);
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    const message = `${path}: another process has the brain's database open. One brain at a time: stop the other one first`;
    return new AppError("FailedPrecondition", message, options);
  }
  if (code.startsWith("SQLITE_FULL") || code === "ENOSPC") {
    return new AppError("NoSpace", `${path}: no space for the brain's database. Free some and try again`, options);
  }
  if (code.startsWith("SQLITE_READONLY") || code === "EROFS") {
    return new AppError("ReadOnly", `${path}: the brain's database is on a medium that refuses writes`, options);
  }
  if (/^SQLITE_(CANTOPEN|PERM|AUTH)/.test(code) || /^(ENOENT|EACCES|EPERM|ENOTDIR|EISDIR)$/.test(code)) {
    const message = `${path}: the brain's database can't be opened (${why}). Its folder must exist, and file and folder be writable`;
    return new AppError("FailedPrecondition", message, options);
  }
  return new AppError("Unavailable", `${path}: the brain's database failed (${code || "no code"}: ${why})`, {
    ...options,
    retryable: false,
  });
}

/** Whether the database may still be used behind this error: after a failed write or sync nobody knows what is on the medium. */
export function endsStore(error: AppError): boolean {
  return error.code !== "NoSpace";
}
