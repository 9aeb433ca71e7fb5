/** The part of the suite in which many do everything at once. */
import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { PoolChunkStore } from "../pool-chunk-store.ts";
import { chunkOf, keyOf } from "./fixture.ts";
import type { WithStore } from "./medium-under-test.ts";

/** Reads every page and checks that each of `mine` is listed and whole. */
async function expectListed(store: PoolChunkStore, mine: ReadonlySet<number>): Promise<void> {
  const seen = new Set<number>();
  let after: string | undefined;
  do {
    const page = await store.list({ after, limit: 5, verify: true });
    for (const { info, state } of page.chunks) {
      expect(state).toBe("ok");
      seen.add(info.stripe);
    }
    after = page.next;
  } while (after);
  for (const no of mine) expect(`${no} ${seen.has(no)}`).toBe(`${no} true`);
}

export function conformConcurrency(withStore: WithStore, timeoutMs: number): void {
  test(
    "readers, writers, deleters, listers and compaction at once: every answer is right",
    withStore(async (store) => {
      const prng = seededPrng(11);
      /** Each worker owns its numbers, so what it knows of them is certain; everybody compacts and lists. */
      const worker = async (own: number): Promise<void> => {
        const there = new Set<number>();
        for (let step = 0; step < 40; step++) {
          const no = own * 1000 + prng.below(12);
          const chunk = chunkOf(no, { blocks: 1 + (no % 3) });
          const choice = prng.below(10);
          if (choice < 4) {
            expect((await store.put(chunk.image)).alreadyThere).toBe(there.has(no));
            there.add(no);
          } else if (choice < 6) {
            const order = { orderedBy: { epoch: 1, actNo: 1 }, reason: "garbage" as const, names: [chunk.name] };
            expect((await store.delete(order)).deleted).toBe(there.delete(no) ? 1 : 0);
          } else if (choice < 9) {
            const got = await store.get(keyOf(chunk.name), 0, 1 + (no % 3)).catch((error: unknown) => error);
            if (there.has(no)) expect(Buffer.compare((got as { bytes: Uint8Array }).bytes, chunk.data)).toBe(0);
            else expect(isAppError(got, "ChunkAbsent")).toBe(true);
          } else if (own === 0) await store.compact(store.segmentIds().slice(0, -1));
          else await expectListed(store, there);
        }
      };
      await Promise.all([0, 1, 2, 3, 4, 5].map(worker));
    }),
    timeoutMs,
  );

  test(
    "many puts of one name at once store it once",
    withStore(async (store) => {
      const chunk = chunkOf(1);
      const answers = await Promise.all(Array.from({ length: 20 }, () => store.put(chunk.image)));
      expect(answers.filter((answer) => !answer.alreadyThere)).toHaveLength(1);
      expect(store.info().chunkCount).toBe(1);
    }),
    timeoutMs,
  );
}
