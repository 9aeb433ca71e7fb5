#!/usr/bin/env bun
/**
 * The one program. `couchestor agent` and `couchestor brain` are the daemons, everything else the command line.
 * Each part is imported only when it is asked for: an agent never loads the brain, and neither loads the other's libraries.
 */
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { compiled } from "@couchestor/common/runtime/version.ts";

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
      return codecSelfTest(rest.includes("--json"));
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

async function codecSelfTest(json: boolean): Promise<number> {
  const result = await (await import("@couchestor/native-ffi/codec/selftest.ts")).codecSelfTest();
  const text = json
    ? JSON.stringify(result, null, 2)
    : [`codec ${result.codec}, checksum ${result.checksum}`, ...result.lines].join("\n");
  process.stdout.write(`${text}\n`);
  return result.ok ? 0 : 1;
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
  });
}

process.exit(await main(process.argv.slice(2)));
