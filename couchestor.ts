#!/usr/bin/env bun
/**
 * The one program. `couchestor agent` and `couchestor brain` are the daemons, everything else the command line.
 * Each part is imported only when it is asked for: an agent never loads the brain, and neither loads the other's libraries.
 */
import { dlopen } from "bun:ffi";

/** File operations under way at a time: enough to keep a disk's queue filled. A thread that waits for a disk costs next to nothing. */
const ioThreads = 16;
/** The words whose programs read and write chunks. */
const movesData: ReadonlySet<string> = new Set(["agent", "bench"]);

/**
 * Lets the runtime's thread pool have more threads than the machine has cores, which is its default: with two cores, two reads at most
 * would wait for a disk that serves dozens at once. The pool takes its size from the C library's environment when it starts, and loading
 * the first module starts it: so this comes before every import but the runtime's own. A value that is set already stays. The C library
 * is in the process already and found by its name alone; no file is looked for.
 */
function raiseIoThreads(): void {
  try {
    const { symbols } = dlopen("libc.so.6", { setenv: { args: ["ptr", "ptr", "i32"], returns: "i32" } });
    symbols.setenv(Buffer.from("UV_THREADPOOL_SIZE\0"), Buffer.from(`${ioThreads}\0`), 0);
  } catch {
    // No glibc: everything works, with less at a time.
  }
}

if (movesData.has(process.argv[2] ?? "")) raiseIoThreads();
const { systemClock } = await import("@couchestor/common/runtime/clock.ts");
const { compiled } = await import("@couchestor/common/runtime/version.ts");

/** What the one who started us gets in order to stop us, beyond what a daemon itself takes to do so. */
const stopGraceMs = 20_000;

async function main(argv: readonly string[]): Promise<number> {
  const [word = "", ...rest] = argv;
  if (process.env["COUCHESTOR_EXIT_WITH_PARENT"] === "1") exitWithParent();
  switch (word) {
    case "agent":
      return (await import("./agent/main.ts")).runAgent(rest);
    case "brain":
      return (await import("./brain/main.ts")).runBrain(rest);
    case "bench":
      return (await import("./agent/bench/main.ts")).runBench(rest, [
        async () => (await import("./brain/bench/operator.ts")).operatorBenches,
      ]);
    case "codec-selftest":
      return (await usage(word, rest, ["--json"])) ?? codecSelfTest(rest.includes("--json"));
    case "worker-selftest":
      return (await usage(word, rest, [])) ?? workerSelfTest();
    default:
      return commandLine(word === "--version" || word === "-v" ? ["version", ...rest] : argv);
  }
}

/**
 * Stdin is a pipe whose other end only our parent holds: when it ends, the parent is gone, however it went. We stop as if told to by
 * a signal, and hard if that takes too long.
 */
function exitWithParent(): void {
  const gone = (): void => {
    process.kill(process.pid, "SIGTERM");
    systemClock.after(stopGraceMs, () => process.exit(1));
  };
  process.stdin.once("end", gone);
  process.stdin.once("error", gone);
  process.stdin.resume();
  process.stdin.unref?.();
}

/** Explains a word of our own instead of running it, if that is asked for or something is not known; the exit code then. */
async function usage(word: string, rest: readonly string[], flags: readonly string[]): Promise<number | undefined> {
  const unknown = rest.find((each) => !flags.includes(each));
  if (unknown === undefined) return undefined;
  const { otherWords } = await import("./brain/cli/other-words.ts");
  const text = `usage: ${["couchestor", word, ...flags.map((flag) => `[${flag}]`)].join(" ")}\n${new Map(otherWords).get(word)}\n`;
  if (unknown === "--help" || unknown === "-h") {
    process.stdout.write(text);
    return 0;
  }
  process.stderr.write(`error: got "${unknown}"\n${text}`);
  return 2;
}

async function codecSelfTest(json: boolean): Promise<number> {
  const result = await (await import("@couchestor/native-ffi/codec/selftest.ts")).codecSelfTest();
  const text = json
    ? JSON.stringify(result, null, 2)
    : [`codec ${result.codec}, checksum ${result.checksum}`, ...result.lines].join("\n");
  process.stdout.write(`${text}\n`);
  return result.ok ? 0 : 1;
}

async function workerSelfTest(): Promise<number> {
  const { ok, lines } = await (await import("./agent/devices/worker-selftest.ts")).workerSelfTest(systemClock);
  process.stdout.write(`${lines.join("\n")}\n`);
  return ok ? 0 : 1;
}

async function commandLine(argv: readonly string[]): Promise<number> {
  const { runCli } = await import("./brain/cli/main.ts");
  return runCli(argv, {
    program: compiled ? [process.execPath] : [process.execPath, import.meta.path],
    env: process.env,
    clock: systemClock,
    codec: async () => {
      const { selectCodec } = await import("@couchestor/native-ffi/codec/select.ts");
      const { codec, checksum, notes } = await selectCodec();
      return { description: codec.description, checksum: checksum.description, notes };
    },
    devices: async () => {
      const [{ localDevices }, { systemPrng }, { silentLogger }] = await Promise.all([
        import("./agent/devices/local-adapter.ts"),
        import("@couchestor/common/runtime/prng.ts"),
        import("@couchestor/common/observe/logger.ts"),
      ]);
      return localDevices({ clock: systemClock, prng: systemPrng, log: silentLogger() });
    },
  });
}

process.exit(await main(process.argv.slice(2)));
