import { afterEach, expect, test } from "bun:test";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { TestBrain } from "../sim/test-brain.ts";
import type { ResourceStore } from "./ports.ts";
import { readAll } from "./read-all.ts";

const pagesOf = (pages: () => AsyncGenerator<unknown>) => ({ pages }) as unknown as Pick<ResourceStore, "pages">;
const never = () => undefined;

test("a list that breaks off is read from its beginning, and one that always does is an error", async () => {
  let broken = 2;
  const store = pagesOf(async function* () {
    yield { items: [{ metadata: { name: "a" } }], revision: "1" };
    if (broken-- > 0) throw new AppError("Conflict", "no longer kept");
    yield { items: [{ metadata: { name: "b" } }], revision: "1" };
  });
  expect((await readAll(store, storageNodeKind, never)).map(({ metadata }) => metadata.name)).toEqual(["a", "b"]);
  broken = 1_000;
  await expect(readAll(store, storageNodeKind, never)).rejects.toThrow("no longer kept");
});

let t: TestBrain | undefined;
afterEach(() => t?.close());

test("a StorageNode that can't be read keeps no brain from starting: its agent says all of it again", async () => {
  const brain = await TestBrain.start();
  t = brain;
  await brain.importVolume("v1", 1);
  await brain.brain.stop();
  await brain.store.close();
  const told: unknown[] = [];
  brain.log = { ...brain.log, error: (fields) => void told.push((fields as { node?: unknown }).node) };
  await brain.open((store) => ({
    ...wrapped(store),
    // As the Kubernetes API tells of it.
    list: (kind, prefix, fields) =>
      kind.kind === storageNodeKind.kind ? Promise.reject(spoilt) : store.list(kind, prefix, fields),
    async *pages(kind, options = {}) {
      for await (const { items, revision } of store.pages(kind, options)) {
        const isSpoilt = ({ metadata }: { metadata: { name: string } }) =>
          kind.kind === storageNodeKind.kind && metadata.name === "n1";
        if (items.some(isSpoilt)) options.unreadable?.("n1", spoilt);
        yield { items: items.filter((item) => !isSpoilt(item)), revision };
      }
    },
  }));
  expect(told).toEqual(["n1"]);
  await brain.pass(1_500);
  expect(brain.brain.services.inventory.node("n1")?.state).toBe("Online");
  expect(await brain.allReadable("v1")).toBe(true);
});

const spoilt = new AppError("Internal", "StorageNode n1: status.since: Invalid ISO datetime");

function wrapped(store: ResourceStore): ResourceStore {
  return {
    get: (kind, name) => store.get(kind, name),
    list: (kind, prefix, fields) => store.list(kind, prefix, fields),
    pages: (kind, options) => store.pages(kind, options),
    create: (kind, object) => store.create(kind, object),
    update: (kind, object) => store.update(kind, object),
    updateStatus: (kind, object) => store.updateStatus(kind, object),
    delete: (kind, name, version) => store.delete(kind, name, version),
    watch: (kind, from, signal, unreadable) => store.watch(kind, from, signal, unreadable),
    close: () => store.close(),
  };
}
