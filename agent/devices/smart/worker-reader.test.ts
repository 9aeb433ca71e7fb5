import { afterEach, describe, expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import type { SmartReading } from "./reading.ts";
import type { SmartTarget } from "./smart-reader.ts";
import { type SmartReply, type SmartWorkerPort, WorkerSmartReader } from "./worker-reader.ts";

const reading: SmartReading = { protocol: "nvme", warnings: [], notReported: [], problems: [] };
const target = (path: string): SmartTarget => ({ path, language: "nvme" });

/** A worker whose device answers when the test says so, or never: what a hanging system call looks like. */
class HeldWorker implements SmartWorkerPort {
  onReply: (reply: SmartReply | undefined) => void = () => undefined;
  readonly asked: string[] = [];
  ended = false;
  ask({ path }: SmartTarget): void {
    this.asked.push(path);
  }
  end(): void {
    this.ended = true;
  }
}

describe("reading health in a worker", () => {
  const clock = new FakeClock();
  let workers: HeldWorker[] = [];
  let reader: WorkerSmartReader;
  const fresh = (): WorkerSmartReader => {
    workers = [];
    const start = (): HeldWorker => {
      const worker = new HeldWorker();
      workers.push(worker);
      return worker;
    };
    reader = new WorkerSmartReader(clock, start, { answerMsMax: 1000, stuckWorkersMax: 2, idleMsMax: 500 });
    return reader;
  };
  afterEach(() => reader.close());
  const failureOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => "none",
      (error) => `${error.failure}: ${error.message}`,
    );

  test("where no thread can be started each question fails, and the next one is asked when it can", async () => {
    let tries = 0;
    const worker = new HeldWorker();
    reader = new WorkerSmartReader(clock, () => {
      if (tries++ < 2) throw new Error("out of memory");
      return worker;
    });
    for (const path of ["a", "b"])
      expect(await failureOf(reader.read(target(path)))).toContain("no thread could be started: Error: out of memory");
    const third = reader.read(target("c"));
    worker.onReply({ reading });
    expect(await third).toEqual(reading);
  });

  test("one device after the other, by one worker, which is ended when there is nothing to do", async () => {
    fresh();
    const [first, second] = [reader.read(target("a")), reader.read(target("b"))];
    expect(workers.map(({ asked }) => asked)).toEqual([["a"]]);
    workers[0]?.onReply({ reading });
    expect(await first).toEqual(reading);
    workers[0]?.onReply({ failure: "gone", message: "b: there is no such device any more" });
    expect(await failureOf(second)).toBe("gone: b: there is no such device any more");
    expect(workers[0]?.asked).toEqual(["a", "b"]);
    await clock.advance(600);
    expect(workers[0]?.ended).toBe(true);
    const third = reader.read(target("c"));
    expect(workers.length).toBe(2);
    workers[1]?.onReply({ reading });
    await third;
  });

  test("a device that does not answer holds up nobody else, is not asked again meanwhile, and is asked again when it has", async () => {
    fresh();
    const [hangs, other] = [reader.read(target("a")), reader.read(target("b"))];
    const silent = failureOf(hangs);
    await clock.advance(1000);
    expect(await silent).toBe("silent: a: did not answer within 1 s when asked for its health");
    expect(workers.map(({ asked }) => asked)).toEqual([["a"], ["b"]]);
    workers[1]?.onReply({ reading });
    expect(await other).toEqual(reading);
    expect(await failureOf(reader.read(target("a")))).toContain("has still not answered");
    workers[0]?.onReply({ reading });
    expect(workers[0]?.ended).toBe(true);
    const again = reader.read(target("a"));
    workers[1]?.onReply({ reading });
    expect(await again).toEqual(reading);
  });

  test("hanging devices can't take more than so many workers", async () => {
    fresh();
    const all = ["a", "b", "c"].map((path) => failureOf(reader.read(target(path))));
    await clock.advance(1000);
    await clock.advance(1000);
    const [, , third] = await Promise.all(all);
    expect(third).toBe("failed: c: not asked, as too many devices do not answer: a, b");
    expect(workers.length).toBe(2);
  });

  test("a worker that breaks down costs one look; closing refuses what waits", async () => {
    fresh();
    const [broken, waits] = [failureOf(reader.read(target("a"))), reader.read(target("b"))];
    workers[0]?.onReply(undefined);
    expect(await broken).toContain("broke down");
    expect(workers[1]?.asked).toEqual(["b"]);
    const late = failureOf(reader.read(target("c")));
    reader.close();
    expect(await late).toContain("is stopping");
    workers[1]?.onReply({ reading });
    await waits;
    expect(workers[1]?.ended).toBe(true);
    expect(await failureOf(reader.read(target("d")))).toContain("is stopping");
  });
});

test("the real worker answers from its own thread", async () => {
  const reader = new WorkerSmartReader(systemClock);
  const failure = await reader
    .read({ path: "/dev/couchestor-absent", language: "nvme" })
    .catch((error) => error.failure);
  expect(failure).toBe("gone");
  reader.close();
});
