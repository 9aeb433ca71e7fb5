/**
 * Lists read page by page, with other work in between, and still a snapshot: what changed meanwhile is taken from the change log and laid over
 * the pages, so that the list is the store at the revision of its end. One query would hold the event loop for half a second per 100,000 objects.
 */
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Change } from "./change-log.ts";
import { objectOf, type Row } from "./object-rules.ts";
import type { ListResult } from "./ports.ts";

export const listItemsMax = 1_000_000;
export const listBytesMax = 1024 * 1024 * 1024;
const rowsPerTurn = 500;
const attemptsMax = 5;

export interface ListSource {
  /** Rows behind the name `after` in order of name, as they are now. */
  page(after: string | undefined, limit: number): Row[];
  /** The store's revision now. */
  committed(): number;
  /** The change behind a revision; throws `Conflict` when it is no longer kept. */
  changeBehind(revision: number): Change | undefined;
}

/** Throws `TooLarge` beyond `listItemsMax` or `listBytesMax`; `Unavailable` if so much changes meanwhile that no list gets done. */
export async function listInTurns<S, T>(
  kind: ResourceKind<S, T>,
  namePrefix: string,
  source: ListSource,
): Promise<ListResult<Resource<S, T>>> {
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const start = source.committed();
    const found = await allPages(kind, namePrefix, source);
    try {
      if (overlay(kind, namePrefix, source, start, found)) sortByName(found);
      return { items: [...found.values()], revision: String(source.committed()) };
    } catch (error) {
      if (!isAppError(error, "Conflict")) throw error;
    }
  }
  throw new AppError(
    "Unavailable",
    `${kind.kind}: the list of "${namePrefix}*" changes faster than it can be read; try again`,
  );
}

/** Objects a page at a time, each as it is when its page is read; `revision` is the store's before the first. */
export async function* pagesInTurns<S, T>(
  kind: ResourceKind<S, T>,
  source: Pick<ListSource, "page" | "committed">,
): AsyncGenerator<ListResult<Resource<S, T>>> {
  const revision = String(source.committed());
  for (let after: string | undefined; ; await nextTurn()) {
    const rows = source.page(after, rowsPerTurn);
    yield { items: rows.map((row) => objectOf(kind, row)), revision };
    if (rows.length < rowsPerTurn) return;
    after = rows.at(-1)?.name;
  }
}

async function allPages<S, T>(
  kind: ResourceKind<S, T>,
  namePrefix: string,
  source: ListSource,
): Promise<Map<string, Resource<S, T>>> {
  const found = new Map<string, Resource<S, T>>();
  let bytes = 0;
  for (let after: string | undefined; ; await nextTurn()) {
    const rows = source.page(after, rowsPerTurn);
    for (const row of rows) {
      bytes += row.metadata.length + row.spec.length + (row.status?.length ?? 0);
      found.set(row.name, objectOf(kind, row));
    }
    if (found.size > listItemsMax || bytes > listBytesMax) throw tooLarge(kind.kind, namePrefix);
    if (rows.length < rowsPerTurn) return found;
    after = rows.at(-1)?.name;
  }
}

/** Brings `found` to the store's present revision; says whether anything changed. */
function overlay<S, T>(
  kind: ResourceKind<S, T>,
  namePrefix: string,
  source: ListSource,
  start: number,
  found: Map<string, Resource<S, T>>,
): boolean {
  let changed = false;
  for (let revision = start; revision < source.committed(); revision++) {
    const change = source.changeBehind(revision);
    if (change?.kind !== kind.kind || !change.row.name.startsWith(namePrefix)) continue;
    changed = true;
    if (change.type === "deleted") found.delete(change.row.name);
    else found.set(change.row.name, objectOf(kind, change.row));
  }
  return changed;
}

function sortByName<S, T>(found: Map<string, Resource<S, T>>): void {
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  found.clear();
  for (const [name, object] of sorted) found.set(name, object);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function tooLarge(kind: string, namePrefix: string): AppError {
  return new AppError(
    "TooLarge",
    `${kind}: the list of "${namePrefix}*" exceeds ${listItemsMax} objects or ${listBytesMax} bytes; use a longer prefix`,
    { data: { kind, namePrefix, listItemsMax, listBytesMax } },
  );
}
