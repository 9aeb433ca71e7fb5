import { expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { errnoName } from "../core/errno.ts";
import { IoctlThread } from "./ioctl-thread.ts";

const bytesToRead = 0x541b; // FIONREAD: of a file, what is left of it
const blockSize = 0x1268; // BLKSSZGET: of block devices only

async function withFile(bytes: number, run: (fd: number, thread: IoctlThread) => Promise<void>): Promise<void> {
  await withTempDir("ioctl", async (dir) => {
    writeFileSync(join(dir, "file"), new Uint8Array(bytes));
    const fd = openSync(join(dir, "file"), "r");
    const thread = new IoctlThread();
    try {
      await run(fd, thread);
    } finally {
      await thread.close();
      closeSync(fd);
    }
  });
}

test("each call is done in its turn, and its answer is in the caller's memory", () =>
  withFile(777, async (fd, thread) => {
    const answers = Array.from({ length: 50 }, () => new Int32Array(2));
    const views = answers.map((answer) => new Uint8Array(answer.buffer));
    const all = await Promise.all(views.map((view) => thread.run(fd, bytesToRead, [view])));
    for (const outcome of all) expect(outcome).toMatchObject({ done: 1, result: 0, errno: 0 });
    for (const answer of answers) expect(answer[0]).toBe(777);
  }));

test("of several arguments those before the one that fails are done, and the error number is of that one", () =>
  withFile(5, async (fd, thread) => {
    const [first, second] = [new Uint8Array(8), new Uint8Array(8)];
    expect(await thread.run(fd, bytesToRead, [first, second])).toMatchObject({ done: 2, result: 0 });
    expect([first[0], second[0]]).toEqual([5, 5]);
    const outcome = await thread.run(fd, blockSize, [first, second]);
    expect(outcome).toMatchObject({ done: 0, result: -1 });
    expect(errnoName(outcome.errno)).toBe("ENOTTY");
    expect(errnoName((await thread.run(1_000_000, bytesToRead, [first])).errno)).toBe("EBADF");
  }));

test("close waits for what is under way; afterwards everything is refused", () =>
  withFile(9, async (fd, thread) => {
    const answer = new Uint8Array(8);
    const under = thread.run(fd, bytesToRead, [answer]);
    await thread.close();
    expect((await under).done).toBe(1);
    expect(answer[0]).toBe(9);
    await expect(thread.run(fd, bytesToRead, [answer])).rejects.toThrow("EBADF");
  }));
