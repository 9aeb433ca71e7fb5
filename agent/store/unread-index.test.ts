/** What could not be read while an index was made is not forgotten by keeping that index. */
import { expect, test } from "bun:test";
import { type FileHandle, type FileSystem, FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions } from "./testing/fixture.ts";

/** The same files, of which blocks of segments can't be read while `isBad` says so. */
function withBadBlocks(fs: FileSystem, isBad: (path: string, block: number) => boolean): FileSystem {
  const methodsOf = <T extends object>(target: T, own: Partial<T>): T =>
    new Proxy(target, {
      get: (_, name) => {
        const value = Reflect.get(name in own ? own : target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  return methodsOf<FileSystem>(fs, {
    open: async (path, mode) => {
      const file = await fs.open(path, mode);
      const read: FileHandle["read"] = async (into, offset) => {
        for (let at = offset; at < offset + into.byteLength; at += 4096)
          if (isBad(path, Math.floor(at / 4096))) throw new FileSystemError("EIO", "read", path);
        return file.read(into, offset);
      };
      return methodsOf<FileHandle>(file, { read });
    },
  });
}

test("an index that was made past blocks that can't be read is not kept: once they can be, what is in them is there", async () => {
  let bad = false;
  const sim = new SimFileSystem({ prng: seededPrng(3) });
  // The header of the second record.
  const fs = withBadBlocks(sim, (path, block) => bad && path.includes("/segments/") && block === 3);
  const open = () => openChunkStore(poolOptions(fs, seededPrng(5)));
  const first = await open();
  await first.adopt(clusterUuid);
  const chunks = [1, 2, 3].map((no) => chunkOf(no));
  for (const { image } of chunks) await first.put(image);
  sim.kill();
  bad = true;
  const second = await open();
  expect(second.info().chunkCount).toBe(2);
  await second.snapshot();
  await second.close();
  bad = false;
  const third = await open();
  expect(third.stats()).toMatchObject({ openedFrom: "scan", damage: [] });
  for (const { name } of chunks) expect((await third.verify(keyOf(name))).state).toBe("ok");
  await third.close();
  const fourth = await open();
  expect(fourth.stats().openedFrom).toBe("snapshot");
  await fourth.close();
});
