/** Run by `sqlite-kill.test.ts` in a process of its own: writes without end and prints each acknowledged version, until it is killed. */
import { writeSync } from "node:fs";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { nodeObject } from "./conformance-objects.ts";
import { openSqliteStore } from "./sqlite-store.ts";

const [path = "", round = ""] = process.argv.slice(2);
const store = await openSqliteStore(path, { clock: systemClock, prng: systemPrng });

async function writer(number: number): Promise<never> {
  for (let i = 0; ; i++) {
    const name = `r${round}-w${number}-${i}`;
    const created = await store.create(storageNodeKind, nodeObject(name, { pad: "x".repeat(60), v: "1" }));
    writeSync(1, `${name} 1\n`);
    if (i % 2 === 0) continue;
    await store.update(storageNodeKind, { ...created, spec: { labels: { v: "2" } } });
    writeSync(1, `${name} 2\n`);
    if (i % 4 !== 1) continue;
    await store.delete(storageNodeKind, name);
    writeSync(1, `${name} 3\n`);
  }
}

await Promise.all([0, 1, 2, 3, 4].map(writer));
