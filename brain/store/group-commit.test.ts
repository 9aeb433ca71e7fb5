import { describe, expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { expectCode } from "./conformance-objects.ts";
import { GroupCommit, type GroupLimits, groupLimits } from "./group-commit.ts";

/** Transactions over a list: what is committed, and a log of the calls. */
function recorder(failCommit: () => boolean = () => false) {
  const calls: string[] = [];
  const committed: number[] = [];
  let open: number[] = [];
  const transactions = {
    begin: () => void calls.push("begin"),
    commit: () => {
      if (failCommit()) throw new Error("the disk failed");
      calls.push("commit");
      committed.push(...open);
      open = [];
    },
    rollback: () => {
      calls.push("rollback");
      open = [];
    },
    failed: (error: unknown) => new AppError("Unavailable", "failed", { cause: error }),
  };
  const write = (value: number) => () => {
    open.push(value);
    return value;
  };
  return { calls, committed, transactions, write };
}

const limits = (some: Partial<GroupLimits>): GroupLimits => ({ ...groupLimits, ...some });

describe("group commit", () => {
  test("writes of one turn share one transaction, and none is answered before it is committed", async () => {
    const { calls, committed, transactions, write } = recorder();
    const group = new GroupCommit(transactions);
    const answers = [1, 2, 3].map((value) =>
      group.submit(10, write(value)).then((answer) => {
        expect(committed).toEqual([1, 2, 3]);
        return answer;
      }),
    );
    expect(calls).toEqual([]);
    expect(await Promise.all(answers)).toEqual([1, 2, 3]);
    expect(calls).toEqual(["begin", "commit"]);
  });

  test("a write that loses fails alone", async () => {
    const { committed, transactions, write } = recorder();
    const group = new GroupCommit(transactions);
    const lost = () => {
      throw new AppError("Conflict", "lost");
    };
    const answers = await Promise.allSettled([
      group.submit(1, write(1)),
      group.submit(1, lost),
      group.submit(1, write(2)),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(committed).toEqual([1, 2]);
  });

  test("when the commit fails all of the group fail and nothing of it stays; the next group goes on", async () => {
    let fail = true;
    const { calls, committed, transactions, write } = recorder(() => fail);
    const group = new GroupCommit(transactions);
    const answers = [group.submit(1, write(1)), group.submit(1, write(2))];
    for (const answer of answers) await expectCode(answer, "Unavailable");
    expect(calls).toEqual(["begin", "rollback"]);
    fail = false;
    expect(await group.submit(1, write(3))).toBe(3);
    expect(committed).toEqual([3]);
  });

  test("an error that is no loser's fails the whole group", async () => {
    const { committed, transactions, write } = recorder();
    const group = new GroupCommit(transactions);
    const broken = () => {
      throw new Error("statement failed");
    };
    const answers = [group.submit(1, write(1)), group.submit(1, broken)];
    for (const answer of answers) await expectCode(answer, "Unavailable");
    expect(committed).toEqual([]);
  });

  test("groups are bounded in writes and in bytes, and other work runs between them", async () => {
    const { calls, transactions, write } = recorder();
    const group = new GroupCommit(transactions, limits({ groupWritesMax: 2, groupBytesMax: 100 }));
    const many = Promise.all([1, 2, 3, 4, 5].map((value) => group.submit(1, write(value))));
    await group.submit(1000, write(6));
    await many;
    expect(calls.filter((call) => call === "commit")).toHaveLength(3);
    calls.length = 0;
    let between = 0;
    const tick = () => {
      between++;
      if (calls.filter((call) => call === "commit").length < 3) setImmediate(tick);
    };
    setImmediate(tick);
    await Promise.all([7, 8, 9].map((value) => group.submit(100, write(value))));
    expect(between).toBeGreaterThanOrEqual(2);
  });

  test("too many waiting writes are refused as retryable; those that wait are still answered", async () => {
    const { transactions, write } = recorder();
    const group = new GroupCommit(transactions, limits({ waitingWritesMax: 2 }));
    const waiting = [group.submit(1, write(1)), group.submit(1, write(2))];
    const refused = await expectCode(group.submit(1, write(3)), "Unavailable");
    expect(refused.retryable).toBe(true);
    expect(await Promise.all(waiting)).toEqual([1, 2]);
    expect(await group.submit(1, write(4))).toBe(4);
  });

  test("drain answers all that waits at once", async () => {
    const { committed, transactions, write } = recorder();
    const group = new GroupCommit(transactions, limits({ groupWritesMax: 1 }));
    const answers = [1, 2, 3].map((value) => group.submit(1, write(value)));
    group.drain();
    expect(committed).toEqual([1, 2, 3]);
    expect(await Promise.all(answers)).toEqual([1, 2, 3]);
  });
});
