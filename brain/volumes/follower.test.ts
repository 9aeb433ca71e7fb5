import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import {
  type StorageNode,
  type StorageNodeSpec,
  type StorageNodeStatus,
  storageNodeKind,
} from "@couchestor/common/crd/storage-node.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { silentLog } from "../ports.ts";
import { nodeObject } from "../store/conformance-objects.ts";
import type { ResourceStore } from "../store/ports.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import { Follower, type View } from "./follower.ts";

const changesMax = 8;
const clock = new FakeClock();
let dir: Awaited<ReturnType<typeof tempDir>>;
let store: ResourceStore;
let seen: TestView;
let follower: Follower<StorageNodeSpec, StorageNodeStatus>;

class TestView implements View<StorageNodeSpec, StorageNodeStatus> {
  readonly there = new Map<string, StorageNode>();
  readonly wentBack: boolean[] = [];
  lists = 0;
  revision = 0;
  put(node: StorageNode, storeWentBack: boolean): void {
    this.there.set(node.metadata.name, node);
    this.wentBack.push(storeWentBack);
    this.revision = Math.max(this.revision, Number(node.metadata.resourceVersion));
  }
  newest = () => this.revision;
  gone({ metadata: { name } }: StorageNode): void {
    this.there.delete(name);
  }
  listedAgain(names: ReadonlySet<string>, revision: number): void {
    this.lists++;
    for (const [name, node] of this.there) {
      if (!names.has(name) && Number(node.metadata.resourceVersion) <= revision) this.there.delete(name);
    }
  }
  unreadable(name: string): void {
    this.there.delete(name);
  }
}

beforeEach(async () => {
  dir = await tempDir("follower");
  store = await openSqliteStore(join(dir.path, "db"), {
    clock,
    prng: seededPrng(1),
    changeLog: { changesMax, bytesMax: 1024 * 1024 },
  });
  seen = new TestView();
});
afterEach(async () => {
  await follower.stop();
  await store.close();
  await dir[Symbol.asyncDispose]();
});

const follow = (over: Pick<ResourceStore, "pages" | "watch"> = store) => {
  follower = new Follower({ store: over, clock, log: silentLog }, storageNodeKind, seen);
  return follower;
};

/** Lets what waits for nothing but its turn go on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}

const names = () => [...seen.there.keys()].sort();

test("what is there, what comes, what changes and what goes is in view", async () => {
  await store.create(storageNodeKind, nodeObject("a"));
  await follow().load();
  follower.start();
  const b = await store.create(storageNodeKind, nodeObject("b"));
  await store.update(storageNodeKind, { ...b, spec: { labels: { x: "1" } } });
  await store.delete(storageNodeKind, "a");
  await settle();
  expect(names()).toEqual(["b"]);
  expect(seen.there.get("b")?.spec.labels).toEqual({ x: "1" });
  expect(seen.lists).toBe(0);
});

test("what changed while more happened than is kept is in view after another list", async () => {
  for (const name of ["a", "b"]) await store.create(storageNodeKind, nodeObject(name));
  await follow().load();
  await store.delete(storageNodeKind, "a");
  for (let i = 0; i < 3 * changesMax; i++) await store.create(storageNodeKind, nodeObject(`n${i}`));
  follower.start();
  await settle();
  expect(seen.lists).toBe(1);
  expect(names()).toEqual((await store.list(storageNodeKind)).items.map((node) => node.metadata.name));
  await store.create(storageNodeKind, nodeObject("z"));
  await settle();
  expect(seen.there.has("z")).toBe(true);
});

test("a list that the store can't go on with is begun anew, and one that never ends is an error", async () => {
  await store.create(storageNodeKind, nodeObject("a"));
  let failures = 2;
  const failing: Pick<ResourceStore, "pages" | "watch"> = {
    watch: (kind, from, signal) => store.watch(kind, from, signal),
    async *pages(kind, options) {
      if (failures-- > 0) throw new AppError("Conflict", "that revision is no longer kept");
      yield* store.pages(kind, options);
    },
  };
  await follow(failing).load();
  expect(names()).toEqual(["a"]);
  failures = 100;
  await expect(follow(failing).load()).rejects.toThrow("no longer kept");
});

test("a store that does not answer for a while is asked again, ever less often", async () => {
  await store.create(storageNodeKind, nodeObject("a"));
  let away = true;
  let asked = 0;
  const failing: Pick<ResourceStore, "pages" | "watch"> = {
    pages: (kind, options) => store.pages(kind, options),
    async *watch(kind, from, signal) {
      asked++;
      if (away) throw new AppError("Unavailable", "away");
      yield* store.watch(kind, from, signal);
    },
  };
  await follow(failing).load();
  follower.start();
  for (let i = 0; i < 60; i++) {
    await clock.advance(1_000);
    await settle();
  }
  expect(asked).toBeGreaterThan(3);
  expect(asked).toBeLessThan(10);
  away = false;
  await store.create(storageNodeKind, nodeObject("b"));
  await clock.advance(60_000);
  await settle();
  expect(names()).toEqual(["a", "b"]);
});

test("a store that was put back to an older state is believed, though its revisions are below those that were seen", async () => {
  await store.create(storageNodeKind, nodeObject("a"));
  seen.revision = 1_000;
  await follow().load();
  expect(seen.wentBack).toEqual([true]);
  expect(names()).toEqual(["a"]);
});
