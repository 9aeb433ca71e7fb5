/**
 * Patience with devices, and its limit. A dying disk can hold a read for minutes, and nothing can end such a call: it keeps its thread. So a
 * device that is late is not asked again until it has answered, and the others are looked at meanwhile. And a device that is busy is asked again
 * before that is believed: another process that asks the same holds it for a moment.
 */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { DeviceNodes, ReadableDevice } from "./ports.ts";

const answerMsMaxDefault = 10_000;
/** Who is only asking has let go long before. */
const busyPauseMs = 50;
const busyLooks = 5;

/** Calls with a limit: what `path` has not answered is not asked anew, and what it gives when it does goes to `dispose`. */
type Within = <T>(path: string, operation: string, run: () => Promise<T>, dispose?: (late: T) => unknown) => Promise<T>;

function limited(clock: Clock, answerMsMax: number): Within {
  const late = new Set<string>();
  return async (path, operation, run, dispose = () => undefined) => {
    if (late.has(path))
      throw new FileSystemError("ETIMEDOUT", `${operation} (an earlier call is not answered yet)`, path);
    const stop = new AbortController();
    const answer = run();
    const limit = clock.sleep(answerMsMax, stop.signal).then(
      () => true,
      () => false,
    );
    const first = await Promise.race([
      answer.then(
        () => false,
        () => false,
      ),
      limit,
    ]);
    stop.abort();
    if (!first) return await answer;
    late.add(path);
    answer
      .then(dispose)
      .catch(() => undefined)
      .finally(() => late.delete(path));
    throw new FileSystemError("ETIMEDOUT", operation, path);
  };
}

/** The same nodes; what takes longer than `answerMsMax` to look at fails with ETIMEDOUT. Opening exclusively is an order, and has all the time it takes. */
export function patientNodes(nodes: DeviceNodes, clock: Clock, answerMsMax = answerMsMaxDefault): DeviceNodes {
  const within = limited(clock, answerMsMax);
  return {
    numberAt: (path) => nodes.numberAt(path),
    async isBusy(path) {
      for (let looks = 1; ; looks++) {
        const isBusy = await within(path, "open exclusively", () => nodes.isBusy(path));
        if (!isBusy || looks === busyLooks) return isBusy;
        await clock.sleep(busyPauseMs);
      }
    },
    openExclusive: (path) => nodes.openExclusive(path),
    openToLook: async (path) => {
      const open = () => nodes.openToLook(path);
      return patientDevice(await within(path, "open", open, (device) => device.close()), path, within);
    },
  };
}

function patientDevice(device: ReadableDevice, path: string, within: Within): ReadableDevice {
  const running = new Set<Promise<unknown>>();
  const ask = <T>(operation: string, run: () => Promise<T>): Promise<T> =>
    within(path, operation, () => {
      const answer = run().finally(() => running.delete(answer));
      running.add(answer);
      return answer;
    });
  return {
    sizeBytes: device.sizeBytes,
    async read(into, offset) {
      // A late read still has the memory: it gets its own, which nobody looks at any more.
      const own = new Uint8Array(into.byteLength);
      await ask("read", () => device.read(own, offset));
      into.set(own);
    },
    zones: () => ask("report zones", () => device.zones()),
    // A descriptor that is being read from must not become another file's.
    close: async () => {
      if (running.size === 0) return await device.close();
      void Promise.allSettled(running).then(() => device.close().catch(() => undefined));
    },
  };
}
