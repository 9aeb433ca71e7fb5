/** All objects of a kind that can be read. */
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { ResourceStore, Unreadable } from "./ports.ts";

const attemptsMax = 5;

/**
 * Reads them page by page, from the beginning again when the store can't go on. One that somebody spoilt by hand, or that another version wrote,
 * keeps nobody from the others: `unreadable` is told of it, possibly more than once.
 */
export async function readAll<S, T>(
  store: Pick<ResourceStore, "pages">,
  kind: ResourceKind<S, T>,
  unreadable: Unreadable,
): Promise<Resource<S, T>[]> {
  for (let attempt = 1; ; attempt++) {
    const all: Resource<S, T>[] = [];
    try {
      for await (const { items } of store.pages(kind, { unreadable })) for (const item of items) all.push(item);
      return all;
    } catch (error) {
      if (!isAppError(error, "Conflict") || attempt === attemptsMax) throw error;
    }
  }
}
