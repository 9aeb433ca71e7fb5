/** Rows of the `objects` table, each with a checksum: a bit that flips on the medium is an error, never another object. */
import type { Database, Statement } from "bun:sqlite";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { damaged, type Row } from "./object-rules.ts";

export const listItemsMax = 1_000_000;
export const listBytesMax = 1024 * 1024 * 1024;

interface Columns extends Row {
  crc: number;
}

const columns = "name, revision, metadata, spec, status, crc";

export class SqliteRows {
  readonly #statements: Statement[] = [];
  readonly #get: Statement<Columns, [string, string]>;
  readonly #list: Statement<Columns, [string, string, string]>;
  readonly #put: Statement<unknown, [string, string, number, string, string, string | null, number]>;
  readonly #remove: Statement<unknown, [string, string]>;
  readonly #head: Statement<{ revision: number; newest: number | null }, []>;
  readonly #setHead: Statement<unknown, [number]>;

  constructor(db: Database) {
    this.#get = this.#kept(db.prepare(`SELECT ${columns} FROM objects WHERE kind = ? AND name = ?`));
    this.#list = this.#kept(
      db.prepare(`SELECT ${columns} FROM objects WHERE kind = ? AND name >= ? AND name < ? ORDER BY name`),
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

  /** A snapshot, in order of name. Throws `TooLarge` beyond `listItemsMax` or `listBytesMax`. */
  list(kind: string, namePrefix: string): Row[] {
    const rows: Row[] = [];
    let bytes = 0;
    for (const row of this.#list.iterate(kind, namePrefix, `${namePrefix}\u{10FFFF}`)) {
      bytes += row.metadata.length + row.spec.length + (row.status?.length ?? 0);
      if (rows.length === listItemsMax || bytes > listBytesMax) throw tooManyItems(kind, namePrefix);
      rows.push(verified(kind, row));
    }
    return rows;
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

function tooManyItems(kind: string, namePrefix: string): AppError {
  return new AppError(
    "TooLarge",
    `${kind}: the list of "${namePrefix}*" exceeds ${listItemsMax} objects or ${listBytesMax} bytes; use a longer prefix`,
    { data: { kind, namePrefix, listItemsMax, listBytesMax } },
  );
}
