import { describe, expect, test } from "bun:test";
import { finalize, finalizerState, withFinalizer, withoutFinalizer } from "./finalizer.ts";

const ours = "storage.billyronks.io/stripes";

interface Thing {
  metadata: { name: string; finalizers?: string[]; deletionTimestamp?: string };
}

const thing = (finalizers?: string[], deletionTimestamp?: string): Thing => ({
  metadata: { name: "a", ...(finalizers ? { finalizers } : {}), ...(deletionTimestamp ? { deletionTimestamp } : {}) },
});

function steps(failing = "") {
  const log: string[] = [];
  return {
    log,
    finalizer: ours,
    update: async (object: Thing) => {
      log.push(`update ${(object.metadata.finalizers ?? []).join()}`);
      return object;
    },
    cleanup: async () => {
      log.push("cleanup");
      if (failing === "cleanup") throw new Error("stripes are still there");
    },
  };
}

describe("finalizer", () => {
  test("is promised before anything else is done", async () => {
    const s = steps();
    const object = await finalize(thing(["other/one"]), s);
    expect(s.log).toEqual([`update other/one,${ours}`]);
    expect(object?.metadata.finalizers).toEqual(["other/one", ours]);
    expect(await finalize(object as Thing, s)).toBe(object as Thing);
    expect(s.log).toHaveLength(1);
  });

  test("cleans up before it goes, and leaves those of others", async () => {
    const s = steps();
    expect(await finalize(thing(["other/one", ours], "2026-01-01T00:00:00Z"), s)).toBeUndefined();
    expect(s.log).toEqual(["cleanup", "update other/one"]);
  });

  test("stays while cleaning up fails", async () => {
    const s = steps("cleanup");
    await expect(finalize(thing([ours], "2026-01-01T00:00:00Z"), s)).rejects.toThrow("still there");
    expect(s.log).toEqual(["cleanup"]);
  });

  test("is not added to what is being deleted", async () => {
    const s = steps();
    expect(await finalize(thing([], "2026-01-01T00:00:00Z"), s)).toBeUndefined();
    expect(s.log).toEqual([]);
  });

  test("copies, and leaves the original as it was", () => {
    const before = thing();
    const after = withFinalizer(before, ours);
    expect(before.metadata.finalizers).toBeUndefined();
    expect(withFinalizer(after, ours)).toBe(after);
    expect(finalizerState(withoutFinalizer(after, ours), ours)).toBe("missing");
  });
});
