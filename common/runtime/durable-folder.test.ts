import { expect, test } from "bun:test";
import { SimFileSystem } from "../testing/sim-file-system.ts";
import { makeDurableFolder } from "./durable-folder.ts";
import { seededPrng } from "./prng.ts";

test("a folder and its parents are there after a power loss, also when an earlier start died before it synced them", async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const fs = new SimFileSystem({ prng: seededPrng(seed) });
    await makeDurableFolder(fs, "/a/b/c");
    fs.crash();
    expect([seed, await fs.exists("/a/b/c")]).toEqual([seed, true]);
    await fs.makeDirectory("/a/b/c/d");
    await makeDurableFolder(fs, "/a/b/c/d");
    fs.crash();
    expect([seed, await fs.exists("/a/b/c/d")]).toEqual([seed, true]);
  }
});
