/** Rows of the `objects` table, each with a checksum: a bit that flips on the medium is an error, never another object. */
import type { Database, Statement } from "bun:sqlite";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { damaged, type Row } from "./object-rules.ts";

interface Columns extends Row {
  crc: number;
}

const columns = "name, revision, metadata, spec, status, crc";

export class SqliteRows {
  readonly #statements: Statement[] = [];
  readonly #get: Statement<Columns, [string, string]>;
  readonly #page: Statement<Columns, [string, string, string, number]>;
  readonly #put: Statement<unknown, [string, string, number, string, string, string | null, number]>;
  readonly #remove: Statement<unknown, [string, string]>;
  readonly #head: Statement<{ revision: number; newest: number | null }, []>;
  readonly #setHead: Statement<unknown, [number]>;

  constructor(db: Database) {
    this.#get = this.#kept(db.prepare(`SELECT ${columns} FROM objects WHERE kind = ? AND name = ?`));
    this.#page = this.#kept(
      db.prepare(`SELECT ${columns} FROM objects WHERE kind = ? AND name >= ? AND name < ? ORDER BY name LIMIT ?`),
    );
    this.#put = this.#kept(
      db.prepare(
        `INSERT INTO objects (kind, name, revision, metadata, spec, status, crc) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision, metadata = excluded.metadata,
           spec = excluded.spec, status = excluded.status, crc = excluded.crc`,
      ),
    );
    this.#remove = this.#kept(db.prepare("DELETE FROM objects WHERE kind = ? AND name = ?"));
    this.#head = this.#kept(db.prepare("SELECT revision, (SELECT max(revision) FROM objects) AS newest FROM head"));
    this.#setHead = this.#kept(db.prepare("UPDATE head SET revision = ? WHERE one = 1"));
  }

  get(kind: string, name: string): Row | undefined {
    const row = this.#get.get(kind, name);
    return row === null ? undefined : verified(kind, row);
  }

  /** The first `limit` rows of the prefix behind the name `after`, in order of name. */
  page(kind: string, namePrefix: string, after: string | undefined, limit: number): Row[] {
    // No character of a name sorts before U+0001, so this is the least text behind `after`.
    const from = after === undefined ? namePrefix : `${after}\u0001`;
    return this.#page.all(kind, from, `${namePrefix}\u{10FFFF}`, limit).map((row) => verified(kind, row));
  }

  put(kind: string, row: Row): void {
    this.#put.run(kind, row.name, row.revision, row.metadata, row.spec, row.status, checksum(kind, row));
  }

  remove(kind: string, name: string): void {
    this.#remove.run(kind, name);
  }

  /** The store's revision, at least that of its newest object. */
  head(): number {
    const row = this.#head.get();
    if (!row || !Number.isSafeInteger(row.revision) || row.revision < (row.newest ?? 0)) {
      throw new AppError(
        "FailedPrecondition",
        `the database's revision (${row?.revision}) is behind its objects (${row?.newest})`,
      );
    }
    return row.revision;
  }

  setHead(revision: number): void {
    this.#setHead.run(revision);
  }

  close(): void {
    for (const statement of this.#statements) statement.finalize();
  }

  #kept<R, P extends never[]>(statement: Statement<R, P>): Statement<R, P> {
    this.#statements.push(statement as unknown as Statement);
    return statement;
  }
}

function verified(kind: string, { crc, ...row }: Columns): Row {
  if (checksum(kind, row) !== crc) throw damaged(kind, row.name, "its checksum does not match");
  return row;
}

function checksum(kind: string, row: Row): number {
  return Bun.hash.crc32([kind, row.name, row.revision, row.metadata, row.spec, row.status ?? "\u0001"].join("\u0000"));
}
