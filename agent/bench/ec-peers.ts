/** The programs the erasure coding benchmark compares with: loops in C around ISA-L in this process, and a Go program beside it. */
import { dlopen } from "bun:ffi";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { cString } from "@couchestor/native-ffi/core/memory.ts";

const signatures = {
  loop_open: { args: ["ptr"], returns: "i32" },
  loop_encode: { args: ["i32", "i32", "i32", "ptr", "ptr", "ptr", "i32"], returns: "u64" },
  loop_crc: { args: ["ptr", "i32", "i32"], returns: "u64" },
} as const;

export type CLoops = ReturnType<typeof dlopen<typeof signatures>>["symbols"];

const sources = join(import.meta.dir, "ec-c/loop.c");
const goModule = join(import.meta.dir, "ec-go");

function buildFolder(): string {
  const folder = join(import.meta.dir, "../../.cache/bench");
  mkdirSync(folder, { recursive: true });
  return folder;
}

function build(what: string, command: string[], cwd: string): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { cwd, env: { ...process.env, CGO_ENABLED: "0" } });
  if (exitCode === 0) return;
  throw new AppError(
    "FailedPrecondition",
    `${what} could not be built: ${stderr.toString().trim().split("\n").slice(-3).join("; ")}`,
  );
}

/** Why the C side can't be compared with here, or undefined. */
export async function missingC(): Promise<string | undefined> {
  if (!existsSync(sources)) return "the C source is in the checkout only: run it from source";
  return Bun.which("cc") ? undefined : "there is no C compiler (cc)";
}

/** Why the Go side can't be compared with here, or undefined. */
export async function missingGo(): Promise<string | undefined> {
  if (!existsSync(goModule)) return "the Go source is in the checkout only: run it from source";
  return Bun.which("go") ? undefined : "there is no Go";
}

/** Compiles the loops and points them at the ISA-L with this absolute path: the one this process has open already. */
export function openCLoops(isalPath: string): CLoops {
  const output = join(buildFolder(), "loop.so");
  build(
    "the C side",
    ["cc", "-O2", "-shared", "-fPIC", "-Wall", "-Werror", "-o", output, sources, "-ldl"],
    buildFolder(),
  );
  const { symbols } = dlopen(output, signatures);
  if (symbols.loop_open(cString(isalPath)) !== 0)
    throw new AppError("FailedPrecondition", `C could not open ${isalPath}`);
  return symbols;
}

/** The Go program, answering one request at a time. */
export class GoPeer {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #answers: AsyncIterator<string>;

  constructor() {
    const output = join(buildFolder(), "ec-go");
    build("the Go side", ["go", "build", "-o", output, "."], goModule);
    this.#process = Bun.spawn([output], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, GOMAXPROCS: "1" },
    });
    this.#answers = linesOf(this.#process.stdout);
  }

  /** Nanoseconds of `times` runs of the operation. */
  async run(operation: "encode" | "decode", k: number, m: number, shardBytes: number, times: number): Promise<number> {
    this.#process.stdin.write(`${operation} ${k} ${m} ${shardBytes} ${times}\n`);
    this.#process.stdin.flush();
    const { value, done } = await this.#answers.next();
    if (done) throw new AppError("Unavailable", `the Go side ended with exit code ${await this.#process.exited}`);
    return Number(value);
  }

  async close(): Promise<void> {
    this.#process.stdin.end();
    await this.#process.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** Keeps this thread, and the processes it starts, on one CPU while `run` runs: so that both sides have the same one. */
export async function onOneCpu<Result>(run: () => Promise<Result>): Promise<Result> {
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(await Bun.file("/proc/self/status").text())?.[1];
  const taskset = Bun.which("taskset");
  if (!allowed || !taskset) return run();
  const pin = (cpus: string) => Bun.spawnSync([taskset, "-pc", cpus, String(process.pid)]);
  pin(/\d+$/.exec(allowed)?.[0] ?? "0");
  try {
    return await run();
  } finally {
    pin(allowed);
  }
}
