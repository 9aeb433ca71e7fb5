/** Whether the threads of this program start and answer: in the compiled program each must have been packed in, and is found by its place there. */
import { closeSync, openSync } from "node:fs";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { IoctlThread } from "@couchestor/native-ffi/zoned/ioctl-thread.ts";
import { SmartReadError } from "./smart/smart-reader.ts";
import { WorkerSmartReader } from "./smart/worker-reader.ts";

const bytesToRead = 0x541b; // FIONREAD: of a file, how much there is to read

/** One line a thread. Never throws; needs no root and no device. */
export async function workerSelfTest(clock: Clock): Promise<{ ok: boolean; lines: string[] }> {
  const checks = { "health of devices": () => askAbsentDevice(clock), "commands to zones": askFileLength };
  let ok = true;
  const lines: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const problem = await check().catch(String);
    ok &&= problem === undefined;
    lines.push(`${name}: ${problem ?? "answers"}`);
  }
  return { ok, lines };
}

/** A device that isn't there must be called gone: only the thread itself can know that. */
async function askAbsentDevice(clock: Clock): Promise<string | undefined> {
  const reader = new WorkerSmartReader(clock, undefined, { answerMsMax: 20_000 });
  try {
    await reader.read({ path: "/dev/couchestor-absent", language: "nvme" });
    return "a device that does not exist gave figures";
  } catch (error) {
    return error instanceof SmartReadError && error.failure === "gone" ? undefined : String(error);
  } finally {
    reader.close();
  }
}

async function askFileLength(): Promise<string | undefined> {
  const fd = openSync(process.execPath, "r");
  const thread = new IoctlThread();
  try {
    const length = new Int32Array(1);
    const { done, errno } = await thread.run(fd, bytesToRead, [new Uint8Array(length.buffer)]);
    return done === 1 && length[0] !== 0 ? undefined : `done ${done}, errno ${errno}, length ${length[0]}`;
  } finally {
    await thread.close();
    closeSync(fd);
  }
}
