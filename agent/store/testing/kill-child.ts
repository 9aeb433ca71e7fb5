/**
 * A process that puts and deletes chunks on the real file system until it is killed, and says on standard output what was acknowledged:
 * `put N` and `del N` when asked, `ok put N` and `ok del N` when answered. Arguments: pool directory or zoned device, first chunk number.
 */
import { writeSync } from "node:fs";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { flockExclusive } from "@couchestor/native-ffi/libc/libc.ts";
import { openZonedFile } from "@couchestor/native-ffi/zoned/zoned-file.ts";
import { openChunkStore } from "../chunk-store.ts";
import type { MediumSpec } from "../pool-chunk-store.ts";
import { chunkOf, clusterUuid, poolOptions } from "./fixture.ts";

const [path = "", first = "0"] = process.argv.slice(2);
const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};
const isDevice = path.startsWith("/dev/");
const medium: MediumSpec = isDevice
  ? { kind: "zoned", path, open: () => openZonedFile(path) }
  : { kind: "directory", path };
const fileSystem = nodeFileSystem(isDevice ? { flock: flockExclusive } : {});
const store = await openChunkStore({ ...poolOptions(fileSystem, seededPrng(Number(first) + 1), path), medium });
await store.adopt(clusterUuid);
for (let no = Number(first); ; no += 8) {
  await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      say(`put ${no + i}`);
      await store.put(chunkOf(no + i, { blocks: 1 + ((no + i) % 3) }).image);
      say(`ok put ${no + i}`);
    }),
  );
  say(`del ${no}`);
  const { name } = chunkOf(no, { blocks: 1 + (no % 3) });
  await store.delete({ orderedBy: { epoch: 1, actNo: 1 }, reason: "garbage", names: [name] });
  say(`ok del ${no}`);
  if (no % 5 === 0) await store.compact();
  if (no % 7 === 0) await store.snapshot();
}
