/** Run by `sqlite-kill.test.ts` in a process of its own: writes without end and prints each acknowledged version, until it is killed. */
import { writeSync } from "node:fs";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { nodeObject } from "./conformance-objects.ts";
import { openSqliteStore } from "./sqlite-store.ts";

/** What it prints: a name and the version that was acknowledged: 1 created, 2 updated, 3 deleted. */
export type AcknowledgedLine = `${string} ${1 | 2 | 3}`;

function acknowledged(line: AcknowledgedLine): void {
  writeSync(1, `${line}\n`);
}

const [path = "", round = ""] = process.argv.slice(2);
const store = await openSqliteStore(path, { clock: systemClock, prng: systemPrng });

async function writer(number: number): Promise<never> {
  for (let i = 0; ; i++) {
    const name = `r${round}-w${number}-${i}`;
    const created = await store.create(storageNodeKind, nodeObject(name, { pad: "x".repeat(60), v: "1" }));
    acknowledged(`${name} 1`);
    if (i % 2 === 0) continue;
    await store.update(storageNodeKind, { ...created, spec: { labels: { v: "2" } } });
    acknowledged(`${name} 2`);
    if (i % 4 !== 1) continue;
    await store.delete(storageNodeKind, name);
    acknowledged(`${name} 3`);
  }
}

await Promise.all([0, 1, 2, 3, 4].map(writer));
