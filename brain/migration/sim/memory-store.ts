/** The resource store in memory, with the rules that every store has: schemas, compare-and-swap, generations, finalizers. */
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
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
} from "../../store/object-rules.ts";
import type { PageOptions, ResourceStore } from "../../store/ports.ts";

type Used = Pick<ResourceStore, "get" | "list" | "pages" | "create" | "update" | "updateStatus" | "delete">;

export class MemoryStore implements Used {
  readonly #rows = new Map<string, Row>();
  readonly #objects = new WeakMap<Row, string>();
  readonly #clock: Clock;
  readonly #prng: Prng;
  #revision = 0;
  /** Told of each object that was written, after it was. */
  onWrite: ((kind: string, name: string) => void) | undefined;
  writes = 0;

  constructor(clock: Clock, prng: Prng) {
    this.#clock = clock;
    this.#prng = prng;
  }

  get<S, T>(kind: ResourceKind<S, T>, name: string): Promise<Resource<S, T> | undefined> {
    return Promise.resolve(this.peek(kind, name));
  }

  /** As `get`, at once. */
  peek<S, T>(kind: ResourceKind<S, T>, name: string): Resource<S, T> | undefined {
    const row = this.#rows.get(`${kind.kind}/${name}`);
    return row === undefined ? undefined : this.#read(kind, row);
  }

  /** Checked once for each version, and never shared. */
  #read<S, T>(kind: ResourceKind<S, T>, row: Row): Resource<S, T> {
    let text = this.#objects.get(row);
    if (text === undefined) {
      text = JSON.stringify(objectOf(kind, row));
      this.#objects.set(row, text);
    }
    return JSON.parse(text) as Resource<S, T>;
  }

  has(kind: string, name: string): boolean {
    return this.#rows.has(`${kind}/${name}`);
  }

  list<S, T>(kind: ResourceKind<S, T>, namePrefix = "") {
    const start = `${kind.kind}/${namePrefix}`;
    const keys = [...this.#rows.keys()].filter((key) => key.startsWith(start)).sort();
    const items = keys.flatMap((key) => {
      const row = this.#rows.get(key);
      return row === undefined ? [] : [this.#read(kind, row)];
    });
    return Promise.resolve({ items, revision: String(this.#revision) });
  }

  /** All in one. */
  async *pages<S, T>(kind: ResourceKind<S, T>, { namePrefix = "" }: PageOptions = {}) {
    yield await this.list(kind, namePrefix);
  }

  async create<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const { name } = object.metadata;
    const key = `${kind.kind}/${name}`;
    if (this.#rows.has(key)) throw new AppError("AlreadyExists", `${kind.kind} ${name} exists`);
    const identity = { uid: this.#prng.uuid(), creationTimestamp: isoNow(this.#clock) };
    this.#put(kind.kind, { name, revision: 0, ...createdTexts(kind, object, identity) });
    return this.#must(kind, name);
  }

  async update<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const row = this.#current(kind, object);
    return this.#apply(kind, row, updateOutcome(kind.kind, row, checkedTexts(kind, object)));
  }

  async updateStatus<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Promise<Resource<S, T>> {
    const row = this.#current(kind, object);
    const { status } = checkedTexts(kind, object);
    if (status === null) throw new AppError("InvalidArgument", `${kind.kind}: status: got nothing`);
    return this.#apply(kind, row, statusOutcome(kind.kind, row, status));
  }

  async delete<S, T>(kind: ResourceKind<S, T>, name: string): Promise<void> {
    const row = this.#rows.get(`${kind.kind}/${name}`);
    if (row === undefined) throw new AppError("NotFound", `${kind.kind} ${name} is not there`);
    const outcome = deleteOutcome(kind.kind, row, isoNow(this.#clock));
    if (outcome.action === "remove") this.#rows.delete(`${kind.kind}/${name}`);
    if (outcome.action === "put") this.#put(kind.kind, { ...row, ...outcome.texts });
  }

  #current<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): Row {
    const { name, resourceVersion } = object.metadata;
    const row = this.#rows.get(`${kind.kind}/${name}`);
    if (row === undefined) throw new AppError("NotFound", `${kind.kind} ${name} is not there`);
    if (revisionOf(kind.kind, "metadata.resourceVersion", resourceVersion) !== row.revision)
      throw new AppError("Conflict", `${kind.kind} ${name} was changed meanwhile`);
    return row;
  }

  #apply<S, T>(kind: ResourceKind<S, T>, row: Row, outcome: Outcome): Resource<S, T> {
    if (outcome.action === "none") return this.#read(kind, row);
    const changed = { ...row, ...outcome.texts };
    if (outcome.action === "remove") {
      this.#rows.delete(`${kind.kind}/${row.name}`);
      return objectOf(kind, changed);
    }
    this.#put(kind.kind, changed);
    return this.#must(kind, row.name);
  }

  #put(kind: string, row: Row): void {
    this.writes += 1;
    this.#rows.set(`${kind}/${row.name}`, { ...row, revision: ++this.#revision });
    this.onWrite?.(kind, row.name);
  }

  #must<S, T>(kind: ResourceKind<S, T>, name: string): Resource<S, T> {
    const found = this.peek(kind, name);
    if (found === undefined) throw new AppError("NotFound", `${kind.kind} ${name} is not there`);
    return found;
  }
}
