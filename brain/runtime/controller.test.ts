import { describe, expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { Controller, type ControllerOptions, type ReconcileOutcome, type Source, TerminalError } from "./controller.ts";

type Handler = Parameters<Source<string>["addHandler"]>[0];

class FakeSource implements Source<string> {
  readonly synced = Promise.withResolvers<void>();
  readonly objects = new Set<string>();
  handler: Handler = {};

  get whenSynced(): Promise<void> {
    return this.synced.promise;
  }

  addHandler(handler: Handler): void {
    this.handler = handler;
  }

  values(): Iterable<string> {
    return this.objects;
  }

  add(object: string): void {
    this.objects.add(object);
    this.handler.added?.(object);
  }
}

function controllerAt(clock: FakeClock, options: Partial<ControllerOptions> & Pick<ControllerOptions, "reconcile">) {
  const outcomes: string[] = [];
  const onReconcile = ({ key, outcome }: ReconcileOutcome) => outcomes.push(`${key} ${outcome}`);
  const deps = { clock, prng: seededPrng(1), logger: silentLogger(), onReconcile };
  return { controller: new Controller(deps, { name: "test", ...options }), outcomes };
}

describe("controller", () => {
  test("begins when its sources are complete, and maps objects to keys, old and new ones", async () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const { controller } = controllerAt(clock, {
      reconcile: async (key) => {
        seen.push(key);
        return undefined;
      },
    });
    const source = new FakeSource();
    controller.watch(source, (object) => [object.split("/")[0] as string]);
    source.add("p1/x");
    source.add("p1/y");
    controller.start();
    await clock.advance(100);
    expect(seen).toEqual([]);
    source.synced.resolve();
    await clock.advance(100);
    expect(seen).toEqual(["p1"]);
    source.handler.updated?.("p3/x", "p2/x");
    source.handler.deleted?.("p4/x");
    await clock.advance(100);
    expect(seen.slice(1).sort()).toEqual(["p2", "p3", "p4"]);
    await controller.stop();
  });

  test("failures come again with growing pauses, conflicts too, terminal ones only with a change", async () => {
    const clock = new FakeClock();
    const answers: Record<string, (failures: number) => { requeueAfterMs: number } | undefined> = {
      flaky: (failures) => {
        if (failures < 3) throw new Error("not yet");
        return undefined;
      },
      raced: (failures) => {
        if (failures < 1) throw new AppError("Conflict", "changed");
        return undefined;
      },
      broken: () => {
        throw new TerminalError("spec.k: got 0, at least 2 are needed");
      },
      periodic: () => ({ requeueAfterMs: 10_000 }),
    };
    const { controller, outcomes } = controllerAt(clock, {
      reconcile: async (key, { failures }) => answers[key]?.(failures),
    });
    controller.start();
    for (const key of Object.keys(answers)) controller.enqueue(key);
    await clock.advance(5_000);
    const of = (key: string) =>
      outcomes.filter((outcome) => outcome.startsWith(key)).map((outcome) => outcome.split(" ")[1] as string);
    expect(of("flaky")).toEqual(["failed", "failed", "failed", "done"]);
    expect(of("raced")).toEqual(["conflict", "done"]);
    expect(of("broken")).toEqual(["terminal"]);
    expect(of("periodic")).toEqual(["requeued"]);
    await clock.advance(20_000);
    expect(of("periodic")).toHaveLength(3);
    controller.enqueue("broken");
    await clock.advance(10);
    expect(of("broken")).toHaveLength(2);
    await controller.stop();
    expect(clock.pending).toBe(0);
  });

  test("who may not act doesn't begin", async () => {
    const clock = new FakeClock();
    let leader = true;
    const seen: string[] = [];
    const { controller } = controllerAt(clock, {
      mayAct: () => {
        if (!leader) throw new AppError("FailedPrecondition", "not the leader");
      },
      reconcile: async (key) => {
        seen.push(key);
        return undefined;
      },
    });
    controller.start();
    controller.enqueue("a");
    await clock.advance(10);
    leader = false;
    controller.enqueue("b");
    await clock.advance(60_000);
    expect(seen).toEqual(["a"]);
    await controller.stop();
  });

  test("stopping tells what runs, waits for it, and begins nothing more", async () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const { controller } = controllerAt(clock, {
      reconcile: async (key, { signal }) => {
        seen.push(key);
        await clock.sleep(60_000, signal).catch(() => undefined);
        return undefined;
      },
    });
    controller.start();
    controller.enqueue("a");
    controller.enqueue("b");
    await clock.advance(10);
    await controller.stop();
    expect(seen).toEqual(["a"]);
  });

  test("one that takes too long is told", async () => {
    const clock = new FakeClock();
    const { controller, outcomes } = controllerAt(clock, {
      reconcileMsMax: 1_000,
      reconcile: async (_, { signal }) => {
        await clock.sleep(600_000, signal);
        return undefined;
      },
    });
    controller.start();
    controller.enqueue("slow");
    await clock.advance(1_001);
    expect(outcomes).toEqual(["slow failed"]);
    await controller.stop();
  });

  test("keys that a full queue refused come again from the source", async () => {
    const clock = new FakeClock();
    const seen = new Set<string>();
    const { controller } = controllerAt(clock, {
      queue: { keysMax: 3 },
      reconcile: async (key) => {
        seen.add(key);
        return undefined;
      },
    });
    const source = new FakeSource();
    controller.watch(source, (object) => [object]);
    for (let i = 0; i < 10; i++) source.add(`o${i}`);
    source.synced.resolve();
    controller.start();
    await clock.advance(120_000);
    expect(seen.size).toBe(10);
    await controller.stop();
  });
});
