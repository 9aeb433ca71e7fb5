/** The watch part of the resource store conformance suite. */
import { expect, test } from "bun:test";
import { type StorageNode, storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { expectCode, nodeObject } from "./conformance-objects.ts";
import type { ResourceStore, WatchEvent } from "./ports.ts";

type NodeEvent = WatchEvent<StorageNode>;

/** Reads events until `enough` says so or the watch ends; returns them all. */
async function collect(
  store: ResourceStore,
  from: string,
  enough: (events: NodeEvent[]) => boolean,
  controller = new AbortController(),
): Promise<NodeEvent[]> {
  const events: NodeEvent[] = [];
  for await (const event of store.watch(storageNodeKind, from, controller.signal)) {
    events.push(event as NodeEvent);
    if (enough(events)) controller.abort();
  }
  return events;
}

export function watchConformance(store: () => ResourceStore): void {
  test("each change behind the revision, in order, once, with the object as it was then", async () => {
    await store().create(storageNodeKind, nodeObject("before"));
    const { revision } = await store().list(storageNodeKind);
    const created = await store().create(storageNodeKind, nodeObject("a"));
    const updated = await store().update(storageNodeKind, { ...created, spec: { labels: { x: "1" } } });
    await store().delete(storageNodeKind, "a");
    const events = await collect(store(), revision, (seen) => seen.length === 3);
    expect(events.map((event) => event.type)).toEqual(["added", "modified", "deleted"]);
    expect(events[0]?.object).toEqual(created);
    expect(events[1]?.object).toEqual(updated);
    expect(events[2]?.object.spec).toEqual(updated.spec);
    expect(events[2]?.object.metadata.uid).toBe(created.metadata.uid as string);
  });

  test("goes on behind any event's revision", async () => {
    const { revision } = await store().list(storageNodeKind);
    for (let i = 0; i < 5; i++) await store().create(storageNodeKind, nodeObject(`n${i}`));
    const all = await collect(store(), revision, (seen) => seen.length === 5);
    for (const [index, event] of all.entries()) {
      if (index === 4) break;
      const rest = await collect(store(), event.revision, (seen) => seen.length === 4 - index);
      expect(rest.map((e) => e.object.metadata.name)).toEqual(all.slice(index + 1).map((e) => e.object.metadata.name));
    }
  });

  test("marking for deletion is a modification, the last finalizer's going the deletion", async () => {
    const { revision } = await store().list(storageNodeKind);
    await store().create(storageNodeKind, { ...nodeObject("a"), metadata: { name: "a", finalizers: ["test/one"] } });
    await store().delete(storageNodeKind, "a");
    const marked = (await store().get(storageNodeKind, "a")) as StorageNode;
    await store().update(storageNodeKind, { ...marked, metadata: { ...marked.metadata, finalizers: [] } });
    const events = await collect(store(), revision, (seen) => seen.length === 3);
    expect(events.map((event) => event.type)).toEqual(["added", "modified", "deleted"]);
    expect(events[1]?.object.metadata.deletionTimestamp).toBeString();
  });

  test("failed writes make no event", async () => {
    const { revision } = await store().list(storageNodeKind);
    const base = await store().create(storageNodeKind, nodeObject("a"));
    await store().update(storageNodeKind, { ...base, spec: { labels: { a: "1" } } });
    await expectCode(store().update(storageNodeKind, { ...base, spec: { labels: { a: "2" } } }), "Conflict");
    await expectCode(store().create(storageNodeKind, nodeObject("a")), "AlreadyExists");
    await store().create(storageNodeKind, nodeObject("end"));
    const events = await collect(store(), revision, (seen) => seen.at(-1)?.object.metadata.name === "end");
    expect(events.map((event) => event.type)).toEqual(["added", "modified", "added"]);
  });

  test("list and watch together lose nothing and repeat nothing while many write", async () => {
    const writers = Array.from({ length: 6 }, (_, writer) => async () => {
      for (let i = 0; i < 20; i++) {
        const created = await store().create(storageNodeKind, nodeObject(`w${writer}-${i}`));
        if (i % 2 === 0) await store().update(storageNodeKind, { ...created, spec: { labels: { i: String(i) } } });
        if (i % 3 === 0) await store().delete(storageNodeKind, created.metadata.name);
      }
    });
    const writing = Promise.all(writers.map((run) => run())).then(() =>
      store().create(storageNodeKind, nodeObject("end")),
    );
    const follow = async (): Promise<Map<string, StorageNode>> => {
      const listed = await store().list(storageNodeKind);
      const view = new Map(listed.items.map((item) => [item.metadata.name, item as StorageNode]));
      const revisions = new Set<string>();
      const controller = new AbortController();
      for await (const event of store().watch(storageNodeKind, listed.revision, controller.signal)) {
        const name = event.object.metadata.name;
        expect(revisions.has(event.revision)).toBe(false);
        revisions.add(event.revision);
        expect(view.has(name)).toBe(event.type !== "added");
        if (event.type === "deleted") view.delete(name);
        else view.set(name, event.object as StorageNode);
        if (name === "end") controller.abort();
      }
      return view;
    };
    const views = await Promise.all([follow(), follow(), writing.then(() => undefined)]);
    const final = (await store().list(storageNodeKind)).items;
    for (const view of views.slice(0, 2)) {
      const sorted = [...(view?.values() ?? [])].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      expect(sorted).toEqual(final as StorageNode[]);
    }
  });

  test("ends quietly when aborted: before, while waiting, and between events", async () => {
    const { revision } = await store().list(storageNodeKind);
    const before = new AbortController();
    before.abort();
    expect(await collect(store(), revision, () => false, before)).toEqual([]);
    const waiting = new AbortController();
    const ended = collect(store(), revision, () => false, waiting);
    queueMicrotask(() => waiting.abort());
    expect(await ended).toEqual([]);
    for (let i = 0; i < 3; i++) await store().create(storageNodeKind, nodeObject(`n${i}`));
    expect(await collect(store(), revision, (seen) => seen.length === 1)).toHaveLength(1);
  });
}
