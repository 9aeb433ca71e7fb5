/** The resource store on SQLite, for a brain on its own: see `sqlite-file.ts` for durability and `group-commit.ts` for how writes share a sync. */
import type { Database } from "bun:sqlite";
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { type Change, ChangeLog, type ChangeLogLimits, changeLogLimits } from "./change-log.ts";
import { GroupCommit } from "./group-commit.ts";
import { listInTurns, pagesInTurns } from "./list-in-turns.ts";
import {
  checkedTexts,
  createdTexts,
  deleteOutcome,
  type Outcome,
  objectOf,
  type Row,
  revisionOf,
  statusOutcome,
  updateOutcome,
} from "./object-rules.ts";
import type { Fields, ListResult, PageOptions, ResourceStore, WatchEvent } from "./ports.ts";
import { fieldsFilter } from "./selection.ts";
import { endsStore, openDatabase, sqliteAppError } from "./sqlite-file.ts";
import { SqliteRows } from "./sqlite-rows.ts";

export interface SqliteStoreDeps {
  clock: Clock;
  prng: Prng;
  changeLog?: ChangeLogLimits;
  /** The largest database, in pages of 4096 bytes. */
  databasePagesMax?: number;
}

/**
 * Opens the store at `path` (a file; its folder must exist), making it if there is none. Throws `FailedPrecondition` if another process has
 * it open or it is damaged, `IncompatibleVersion` if a newer program wrote it. An update or status that changes nothing keeps its
 * resourceVersion and makes no event, as in Kubernetes.
 */
export async function openSqliteStore(path: string, deps: SqliteStoreDeps): Promise<ResourceStore> {
  const db = openDatabase(path, deps.databasePagesMax);
  try {
    return new SqliteStore(db, path, deps);
  } catch (error) {
    db.close();
    throw sqliteAppError(error, path);
  }
}

class SqliteStore implements ResourceStore {
  readonly #db: Database;
  readonly #path: string;
  readonly #deps: SqliteStoreDeps;
  readonly #rows: SqliteRows;
  readonly #log: ChangeLog;
  readonly #group: GroupCommit;
  /** Of the last commit; the group under way counts on from it. */
  #committed: number;
  #changes: Change[] = [];
  #ended: AppError | undefined;

  constructor(db: Database, path: string, deps: SqliteStoreDeps) {
    this.#db = db;
    this.#path = path;
    this.#deps = deps;
    this.#rows = new SqliteRows(db);
    this.#committed = this.#rows.head();
    this.#log = new ChangeLog(this.#committed, deps.changeLog ?? changeLogLimits);
    this.#group = new GroupCommit({
      begin: () => this.#begin(),
      commit: () => this.#commit(),
      rollback: () => this.#rollback(),
      failed: (error) => this.#failed(error),
    });
  }

  async get<S, T>(kind: ResourceKind<S, T>, name: string): Promise<Resource<S, T> | undefined> {
    const row = this.#read(() => this.#rows.get(kind.kind, name));
    return row && objectOf(kind, row);
  }

  async list<S, T>(
    kind: ResourceKind<S, T>,
    namePrefix = "",
    fields: Fields = {},
  ): Promise<ListResult<Resource<S, T>>> {
    const fits = fieldsFilter(kind, fields);
    const { items, revision } = await listInTurns(kind, namePrefix, {
      page: (after, limit) => this.#read(() => this.#rows.page(kind.kind, namePrefix, after, limit)),
      committed: () => this.#committed,
      changeBehind: (behind) => this.#log.next(behind),
    });
    return { items: items.filter(fits), revision };
  }

  /** A row that can't be read is damage of the medium, and always an error. */
  async *pages<S, T>(
    kind: ResourceKind<S, T>,
    { namePrefix = "", fields = {} }: PageOptions = {},
  ): AsyncGenerator<ListResult<Resource<S, T>>> {
    const fits = fieldsFilter(kind, fields);
    const pages = pagesInTurns(kind, {
      page: (after, limit) => this.#read(() => this.#rows.page(kind.kind, namePrefix, after, limit)),
      committed: () => this.#committed,
    });
    for await (const { items, revision } of pages) yield { items: items.filter(fits), revision };
  }

  async create<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const identity = { uid: this.#deps.prng.uuid(), creationTimestamp: isoNow(this.#deps.clock) };
    const texts = createdTexts(kind, object, identity);
    const name = object.metadata.name;
    return this.#write(kind, texts, () => {
      if (this.#rows.get(kind.kind, name)) {
        throw new AppError("AlreadyExists", `${kind.kind} ${name} exists already`, { data: { kind: kind.kind, name } });
      }
      return this.#put("added", kind.kind, { name, revision: this.#nextRevision(), ...texts });
    });
  }

  async update<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const { status: _, ...withoutStatus } = object;
    const came = checkedTexts<S, T>(kind, withoutStatus);
    const expected = revisionOf(kind.kind, "metadata.resourceVersion", came.meta.resourceVersion);
    return this.#write(kind, came, () => {
      const current = this.#current(kind.kind, came.meta.name, expected);
      return this.#carryOut(kind.kind, current, updateOutcome(kind.kind, current, came));
    });
  }

  async updateStatus<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const { meta, status } = checkedTexts(kind, object);
    const expected = revisionOf(kind.kind, "metadata.resourceVersion", meta.resourceVersion);
    if (status === null) {
      throw new AppError("InvalidArgument", `${kind.kind}: status: is missing`, {
        data: { kind: kind.kind, field: "status" },
      });
    }
    return this.#write(kind, { metadata: "", spec: "", status }, () => {
      const current = this.#current(kind.kind, meta.name, expected);
      return this.#carryOut(kind.kind, current, statusOutcome(kind.kind, current, status));
    });
  }

  async delete<S, T>(kind: ResourceKind<S, T>, name: string, resourceVersion?: string): Promise<void> {
    const expected =
      resourceVersion === undefined ? undefined : revisionOf(kind.kind, "resourceVersion", resourceVersion);
    const now = isoNow(this.#deps.clock);
    await this.#submit(256, () => {
      const current = this.#current(kind.kind, name, expected);
      return this.#carryOut(kind.kind, current, deleteOutcome(kind.kind, current, now));
    });
  }

  async *watch<S, T>(
    kind: ResourceKind<S, T>,
    fromRevision: string,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<Resource<S, T>>> {
    let revision = revisionOf(kind.kind, "fromRevision", fromRevision);
    while (!signal.aborted) {
      const change = this.#log.next(revision);
      if (change === undefined) {
        await this.#log.wait(signal);
        continue;
      }
      revision = change.row.revision;
      if (change.kind !== kind.kind) continue;
      yield { type: change.type, object: objectOf(kind, change.row), revision: String(revision) };
    }
  }

  async close(): Promise<void> {
    if (this.#ended === undefined) {
      this.#group.drain();
      this.#end(new AppError("Unavailable", `${this.#path}: the resource store is closed`, { retryable: false }));
    }
    this.#rows.close();
    this.#db.close();
  }

  #read<V>(read: () => V): V {
    if (this.#ended) throw this.#ended;
    try {
      return read();
    } catch (error) {
      throw sqliteAppError(error, this.#path);
    }
  }

  async #write<S, T>(kind: ResourceKind<S, T>, texts: SizedTexts, apply: () => Row): Promise<Resource<S, T>> {
    const bytes = texts.metadata.length + texts.spec.length + (texts.status?.length ?? 0);
    return objectOf(kind, await this.#submit(bytes, apply));
  }

  #submit<V>(bytes: number, apply: () => V): Promise<V> {
    return this.#ended ? Promise.reject(this.#ended) : this.#group.submit(bytes, apply);
  }

  #current(kind: string, name: string, expected: number | undefined): Row {
    const row = this.#rows.get(kind, name);
    if (!row) throw new AppError("NotFound", `there is no ${kind} ${name}`, { data: { kind, name } });
    if (expected === undefined || row.revision === expected) return row;
    throw new AppError("Conflict", `${kind} ${name} was changed by another: read it again`, {
      data: { kind, name, gotResourceVersion: String(expected), resourceVersion: String(row.revision) },
    });
  }

  #nextRevision(): number {
    return this.#committed + this.#changes.length + 1;
  }

  #carryOut(kind: string, current: Row, outcome: Outcome): Row {
    if (outcome.action === "none") return current;
    const row = { name: current.name, revision: this.#nextRevision(), ...outcome.texts };
    if (outcome.action === "put") return this.#put("modified", kind, row);
    this.#rows.remove(kind, row.name);
    this.#changes.push({ type: "deleted", kind, row });
    return row;
  }

  #put(type: "added" | "modified", kind: string, row: Row): Row {
    this.#rows.put(kind, row);
    this.#changes.push({ type, kind, row });
    return row;
  }

  #begin(): void {
    if (this.#ended) throw this.#ended;
    this.#changes = [];
    this.#db.run("BEGIN IMMEDIATE");
  }

  #commit(): void {
    if (this.#changes.length > 0) this.#rows.setHead(this.#committed + this.#changes.length);
    this.#db.run("COMMIT");
    this.#committed += this.#changes.length;
    this.#log.push(this.#changes);
    this.#changes = [];
  }

  #rollback(): void {
    this.#changes = [];
    try {
      if (this.#db.inTransaction) this.#db.run("ROLLBACK");
    } catch (error) {
      this.#end(sqliteAppError(error, this.#path));
    }
  }

  #failed(cause: unknown): AppError {
    const error = sqliteAppError(cause, this.#path);
    if (endsStore(error)) this.#end(error);
    return error;
  }

  /** From here on every call fails: what is on the medium is known only after the file is opened again. */
  #end(error: AppError): void {
    this.#ended ??= error;
    this.#log.end(error);
  }
}

interface SizedTexts {
  metadata: string;
  spec: string;
  status: string | null;
}
