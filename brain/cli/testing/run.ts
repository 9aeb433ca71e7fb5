/** Runs the command line in process, with its output caught. */
import type { LocalDevices } from "@couchestor/common/api/local-devices.ts";
import { type Clock, systemClock } from "@couchestor/common/runtime/clock.ts";
import { runCli } from "../main.ts";

export interface Ran {
  code: number;
  stdout: string;
  stdoutBytes: Buffer;
  stderr: string;
  /** stdout as JSON. */
  json<T = Record<string, unknown>>(): T;
}

export interface RunOptions {
  tty?: boolean;
  env?: Record<string, string>;
  clock?: Clock;
  devices?: LocalDevices;
}

/** Time goes on at once for sleepers, so that retries with pauses take no time. */
const hasteClock: Clock = { ...systemClock, sleep: (_ms, signal) => systemClock.sleep(0, signal) };

export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const caught: Record<"stdout" | "stderr", Uint8Array[]> = { stdout: [], stderr: [] };
  const stream = (name: "stdout" | "stderr") => ({
    isTty: options.tty ?? false,
    columns: 100,
    write: (bytes: string | Uint8Array) => void caught[name].push(Buffer.from(bytes)),
  });
  const code = await runCli(
    argv,
    {
      program: ["couchestor"],
      env: options.env ?? {},
      clock: options.clock ?? hasteClock,
      codec: async () => ({ description: "isa-l 2.31.1", checksum: "isa-l 2.31.1", notes: [] }),
      ...(options.devices === undefined ? {} : { devices: async () => options.devices as LocalDevices }),
    },
    { stdout: stream("stdout"), stderr: stream("stderr") },
  );
  const text = (name: "stdout" | "stderr"): string => Buffer.concat(caught[name]).toString("utf8");
  return {
    code,
    stdoutBytes: Buffer.concat(caught.stdout),
    stdout: text("stdout"),
    stderr: text("stderr"),
    json: () => JSON.parse(text("stdout")),
  };
}
