/**
 * What every resource store must do, as tests: each adapter's own test calls `resourceStoreConformance` with a way to open an empty store.
 * Names are unique to a test, so that an adapter may also hand out one shared store.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Resource } from "@couchestor/common/crd/object.ts";
import {
  type StorageNode,
  type StorageNodeSpec,
  type StorageNodeStatus,
  storageNodeKind,
} from "@couchestor/common/crd/storage-node.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { expectCode, nodeObject, nodeStatus } from "./conformance-objects.ts";
import { selectionConformance } from "./conformance-selection.ts";
import { watchConformance } from "./conformance-watch.ts";
import type { ResourceStore } from "./ports.ts";

export interface StoreUnderTest {
  store: ResourceStore;
  dispose(): Promise<void>;
}

export function resourceStoreConformance(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name}: resource store`, () => {
    let opened: StoreUnderTest;
    let store: ResourceStore;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.dispose());
    describe("create, get, list", () => readingConformance(() => store));
    describe("lists by fields", () => selectionConformance(() => store));
    describe("compare-and-swap", () => swapConformance(() => store));
    describe("finalizers and deletion", () => deletionConformance(() => store));
    describe("what is refused", () => refusalConformance(() => store));
    describe("watch", () => watchConformance(() => store));
  });
}

function readingConformance(store: () => ResourceStore): void {
  test("an object comes back as it was created, with the store's fields filled in", async () => {
    const created = await store().create(storageNodeKind, { ...nodeObject("a", { zone: "z" }), status: nodeStatus });
    expect(created.metadata).toMatchObject({ name: "a", generation: 1 });
    expect(created.metadata.uid).toBeString();
    expect(created.metadata.resourceVersion).toBeString();
    expect(Date.parse(created.metadata.creationTimestamp ?? "")).toBeGreaterThan(0);
    expect(created.spec).toEqual({ labels: { zone: "z" } });
    expect(created.status).toEqual(nodeStatus);
    expect(await store().get(storageNodeKind, "a")).toEqual(created);
  });

  test("a name never created is undefined", async () => {
    expect(await store().get(storageNodeKind, "nobody")).toBeUndefined();
  });

  test("what is returned is the caller's own: changing it changes nothing stored", async () => {
    const created = await store().create(storageNodeKind, nodeObject("a", { zone: "z" }));
    created.spec.labels["zone"] = "other";
    const read = await store().get(storageNodeKind, "a");
    expect(read?.spec.labels).toEqual({ zone: "z" });
  });

  test("list is by prefix and in order of name", async () => {
    for (const name of ["v-0000000010", "v-0000000002", "v2-0000000001", "u", "v"]) {
      await store().create(storageNodeKind, nodeObject(name));
    }
    const names = async (prefix?: string) =>
      (await store().list(storageNodeKind, prefix)).items.map((item) => item.metadata.name);
    expect(await names("v-")).toEqual(["v-0000000002", "v-0000000010"]);
    expect(await names("v")).toEqual(["v", "v-0000000002", "v-0000000010", "v2-0000000001"]);
    expect(await names()).toEqual(["u", "v", "v-0000000002", "v-0000000010", "v2-0000000001"]);
    expect(await names("w")).toEqual([]);
  });

  test("pages hold every object once, by prefix, and a watch from their revision tells what came later", async () => {
    const names = Array.from({ length: 7 }, (_, i) => `v-${i}`);
    for (const name of [...names, "u"]) await store().create(storageNodeKind, nodeObject(name));
    const seen: string[] = [];
    let from: string | undefined;
    for await (const { items, revision } of store().pages(storageNodeKind, { namePrefix: "v-" })) {
      from ??= revision;
      seen.push(...items.map((item) => item.metadata.name));
    }
    expect(seen.sort()).toEqual(names);
    await store().create(storageNodeKind, nodeObject("v-late"));
    for await (const event of store().watch(storageNodeKind, from ?? "", new AbortController().signal)) {
      expect(event.object.metadata.name).toBe("v-late");
      break;
    }
  });

  test("there is a page, with a revision, though there is no object", async () => {
    const pages: { items: unknown[]; revision: string }[] = [];
    for await (const page of store().pages(storageNodeKind)) pages.push(page);
    expect(pages).toHaveLength(1);
    expect(pages[0]?.items).toEqual([]);
    expect(pages[0]?.revision).toBeString();
  });

  test("a taken name is refused and stays as it was", async () => {
    await store().create(storageNodeKind, nodeObject("a", { zone: "first" }));
    await expectCode(store().create(storageNodeKind, nodeObject("a", { zone: "second" })), "AlreadyExists");
    expect((await store().get(storageNodeKind, "a"))?.spec.labels).toEqual({ zone: "first" });
  });
}

function swapConformance(store: () => ResourceStore): void {
  const create = (name = "a") => store().create(storageNodeKind, { ...nodeObject(name), status: nodeStatus });

  test("of many updates of one version exactly one wins; the others get Conflict", async () => {
    const base = await create();
    const answers = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        store().update(storageNodeKind, { ...base, spec: { labels: { writer: String(i) } } }),
      ),
    );
    const won = answers.filter((answer) => answer.status === "fulfilled");
    expect(won).toHaveLength(1);
    for (const answer of answers) {
      if (answer.status === "rejected") expect(isAppError(answer.reason, "Conflict")).toBe(true);
    }
    expect(await store().get(storageNodeKind, "a")).toEqual(won[0]?.value as StorageNode);
  });

  test("a counter raised by many with retries loses no step", async () => {
    await create();
    const raise = async (): Promise<void> => {
      for (;;) {
        const current = (await store().get(storageNodeKind, "a")) as StorageNode;
        const next = String(Number(current.spec.labels["n"] ?? "0") + 1);
        const done = await store()
          .update(storageNodeKind, { ...current, spec: { labels: { n: next } } })
          .catch((error: unknown) => {
            if (isAppError(error, "Conflict")) return undefined;
            throw error;
          });
        if (done) return;
      }
    };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 5; i++) await raise();
      }),
    );
    expect((await store().get(storageNodeKind, "a"))?.spec.labels).toEqual({ n: "40" });
  });

  test("update leaves status alone, updateStatus everything else; only a spec change raises generation", async () => {
    const base = await create();
    const changed = await store().update(storageNodeKind, {
      ...base,
      metadata: { ...base.metadata, labels: { l: "1" } },
      spec: { labels: { a: "1" } },
      status: { ...nodeStatus, state: "Offline" },
    });
    expect(changed.metadata.generation).toBe(2);
    expect(changed.status).toEqual(nodeStatus);
    const observed = await store().updateStatus(storageNodeKind, {
      ...changed,
      metadata: { ...changed.metadata, labels: { l: "2" } },
      spec: { labels: { a: "2" } },
      status: { ...nodeStatus, state: "Offline" },
    });
    expect(observed.spec).toEqual({ labels: { a: "1" } });
    expect(observed.metadata.labels).toEqual({ l: "1" });
    expect(observed.metadata.generation).toBe(2);
    expect(observed.status?.state).toBe("Offline");
    const labelled = await store().update(storageNodeKind, {
      ...observed,
      metadata: { ...observed.metadata, labels: {} },
    });
    expect(labelled.metadata.generation).toBe(2);
    expect(new Set([base, changed, observed, labelled].map((o) => o.metadata.resourceVersion)).size).toBe(4);
  });

  test("status has compare-and-swap too", async () => {
    const base = await create();
    await store().update(storageNodeKind, { ...base, spec: { labels: { a: "1" } } });
    await expectCode(
      store().updateStatus(storageNodeKind, { ...base, status: { ...nodeStatus, codec: "x" } }),
      "Conflict",
    );
  });

  test("uid and creationTimestamp can't be changed, and another object under an old name is not updated", async () => {
    const base = await create();
    const kept = await store().update(storageNodeKind, {
      ...base,
      metadata: { ...base.metadata, creationTimestamp: "2020-01-01T00:00:00.000Z", labels: { l: "1" } },
    });
    expect(kept.metadata.creationTimestamp).toBe(base.metadata.creationTimestamp as string);
    await store().delete(storageNodeKind, "a");
    const second = await create();
    expect(second.metadata.uid).not.toBe(base.metadata.uid as string);
    await expectCode(store().update(storageNodeKind, { ...kept, spec: { labels: { a: "9" } } }), "Conflict");
    const metadata = { ...second.metadata, uid: base.metadata.uid };
    await expectCode(store().update(storageNodeKind, { ...second, metadata }), "Conflict");
  });

  test("what does not exist is NotFound", async () => {
    const base = await create();
    await store().delete(storageNodeKind, "a");
    await expectCode(store().update(storageNodeKind, base), "NotFound");
    await expectCode(store().updateStatus(storageNodeKind, base), "NotFound");
    await expectCode(store().delete(storageNodeKind, "a"), "NotFound");
  });
}

function deletionConformance(store: () => ResourceStore): void {
  const create = (finalizers: string[]) =>
    store().create(storageNodeKind, { ...nodeObject("a"), metadata: { name: "a", finalizers } });

  test("without finalizers it is gone at once", async () => {
    await create([]);
    await store().delete(storageNodeKind, "a");
    expect(await store().get(storageNodeKind, "a")).toBeUndefined();
  });

  test("an old resourceVersion deletes nothing", async () => {
    const base = await create([]);
    const newer = await store().update(storageNodeKind, { ...base, spec: { labels: { a: "1" } } });
    await expectCode(store().delete(storageNodeKind, "a", base.metadata.resourceVersion), "Conflict");
    await store().delete(storageNodeKind, "a", newer.metadata.resourceVersion);
    expect(await store().get(storageNodeKind, "a")).toBeUndefined();
  });

  test("with finalizers it is marked, and goes with the last of them", async () => {
    await create(["test/one", "test/two"]);
    await store().delete(storageNodeKind, "a");
    const marked = (await store().get(storageNodeKind, "a")) as StorageNode;
    expect(Date.parse(marked.metadata.deletionTimestamp ?? "")).toBeGreaterThan(0);
    await store().delete(storageNodeKind, "a");
    const again = (await store().get(storageNodeKind, "a")) as StorageNode;
    expect(again.metadata.deletionTimestamp).toBe(marked.metadata.deletionTimestamp as string);

    const finalizers = (object: StorageNode, list: string[]) => ({
      ...object,
      metadata: { ...object.metadata, finalizers: list },
    });
    await expectCode(store().update(storageNodeKind, finalizers(again, ["test/one", "test/new"])), "InvalidArgument");
    const one = await store().update(storageNodeKind, finalizers(again, ["test/one"]));
    expect(one.metadata.deletionTimestamp).toBe(marked.metadata.deletionTimestamp as string);
    const revived = finalizers({ ...one, metadata: { ...one.metadata, deletionTimestamp: undefined } }, ["test/one"]);
    const still = await store().update(storageNodeKind, { ...revived, spec: { labels: { a: "1" } } });
    expect(still.metadata.deletionTimestamp).toBe(marked.metadata.deletionTimestamp as string);
    await store().update(storageNodeKind, finalizers(still, []));
    expect(await store().get(storageNodeKind, "a")).toBeUndefined();
    await create([]);
  });
}

function refusalConformance(store: () => ResourceStore): void {
  type Node = Resource<StorageNodeSpec, StorageNodeStatus>;
  const bad: [string, string, (object: Node) => unknown][] = [
    ["a kind of another schema", "kind", (o) => ({ ...o, kind: "ECVolume" })],
    ["another apiVersion", "apiVersion", (o) => ({ ...o, apiVersion: "v1" })],
    ["a name that is none", "metadata.name", (o) => ({ ...o, metadata: { name: "A b" } })],
    ["a spec without a required field", "spec.labels", (o) => ({ ...o, spec: {} })],
    ["a spec with an unknown field", "spec", (o) => ({ ...o, spec: { labels: {}, colour: "red" } })],
    ["a status of the wrong type", "status.state", (o) => ({ ...o, status: { ...nodeStatus, state: "Maybe" } })],
  ];
  for (const [what, field, spoil] of bad) {
    test(`${what}: InvalidArgument that names ${field}, and nothing is stored`, async () => {
      const error = await expectCode(
        store().create(storageNodeKind, spoil(nodeObject("a")) as Node),
        "InvalidArgument",
      );
      expect(error.data["field"]).toBe(field);
      expect((await store().list(storageNodeKind)).items).toEqual([]);
    });
  }

  test("writes without a resourceVersion are refused: there is no overwriting", async () => {
    await store().create(storageNodeKind, nodeObject("a"));
    await expectCode(store().update(storageNodeKind, nodeObject("a", { a: "1" })), "InvalidArgument");
    await expectCode(
      store().updateStatus(storageNodeKind, { ...nodeObject("a"), status: nodeStatus }),
      "InvalidArgument",
    );
  });

  test("updateStatus without a status is refused", async () => {
    const { status: _, ...base } = await store().create(storageNodeKind, { ...nodeObject("a"), status: nodeStatus });
    await expectCode(store().updateStatus(storageNodeKind, base), "InvalidArgument");
  });

  test("an object beyond the size limit is refused, whole", async () => {
    const annotations = { big: "x".repeat(1024 * 1024) };
    const big = { ...nodeObject("a"), metadata: { name: "a", annotations } };
    await expectCode(store().create(storageNodeKind, big), "TooLarge");
    const small = await store().create(storageNodeKind, nodeObject("a"));
    await expectCode(
      store().update(storageNodeKind, { ...small, metadata: { ...small.metadata, annotations } }),
      "TooLarge",
    );
    expect(await store().get(storageNodeKind, "a")).toEqual(small);
  });
}
