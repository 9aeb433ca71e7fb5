/** `couchestor standalone` */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Standalone } from "../../standalone/start.ts";
import { type Command, exitFailed, exitOk, exitUsage } from "../command.ts";
import { type Output, paintState } from "../output.ts";
import { UsageError } from "../parsed-arguments.ts";
import { secondsText } from "../progress.ts";

export const standalone: Command = {
  path: ["standalone"],
  summary: "Run a brain and agents on this machine, in one folder, until Ctrl-C",
  description:
    "Every process is this same program, on loopback, at ports the system picks; the brain keeps its ports. The folder holds everything: " +
    "start again with the same folder and the volumes are there. Members that die are started again. Other verbs find it by --data-dir.",
  arguments: [],
  options: {
    "data-dir": { kind: "directory", value: "DIR", help: "Where everything is kept", required: true },
    agents: { kind: "count", value: "N", help: "Storage nodes, 1 to 64", defaultText: "6" },
    "pools-per-agent": { kind: "count", value: "N", help: "Pools of each, 1 to 16", defaultText: "2" },
    "repair-after": {
      kind: "duration",
      value: "TIME",
      help: "How long a node may be away before its shards are rebuilt elsewhere",
      defaultText: "30s",
    },
    "repair-rate": {
      kind: "text",
      value: "RATE",
      help: "Limit of rebuild traffic, for example 200MiB/s",
      defaultText: "the brain's",
    },
    "no-restart": { kind: "flag", help: "Leave members dead that die" },
    "log-format": {
      kind: "text",
      value: "FORMAT",
      help: "Of the log files",
      choices: ["text", "json"],
      defaultText: "text",
    },
  },
  examples: [
    { command: "couchestor standalone --data-dir ./data", text: "six agents with two pools each" },
    {
      command: "couchestor standalone --data-dir ./data --agents 3 --repair-after 10m --no-restart",
      text: "to try failures by hand",
    },
  ],
  async run(context, args) {
    const { output, host, signal } = context;
    const { startStandalone } = await import("../../standalone/start.ts");
    const logFormat = args.text("log-format");
    const dataDir = args.requiredText("data-dir");
    if (dataDir === "") throw new UsageError("--data-dir: got nothing, allowed is a folder", standalone);
    const running = await startStandalone({
      program: host.program,
      env: host.env,
      clock: host.clock,
      signal,
      dataDir,
      agents: args.number("agents") ?? 6,
      poolsPerAgent: args.number("pools-per-agent") ?? 2,
      restart: !args.flag("no-restart"),
      repairAfterMs: args.number("repair-after") ?? 30_000,
      repairRate: args.text("repair-rate"),
      logFormat: logFormat === "json" ? "json" : "text",
      onNote: (text) => output.note(text),
    }).catch((error: unknown) => {
      // In use by another: refused, as a daemon does it.
      if (!isAppError(error, "FailedPrecondition")) throw error;
      output.failure(error);
      return undefined;
    });
    if (running === undefined) return exitUsage;
    try {
      announce(output, running, dataDir);
      await stopped(signal);
      output.note("stopping");
      return exitOk;
    } catch (error) {
      output.failure(error);
      return exitFailed;
    } finally {
      await running.stop();
    }
  },
};

/** Tells what runs where. */
function announce(output: Output, running: Standalone, dataDir: string): void {
  const members = [running.brain, ...running.agents];
  const { brainUrl, readySeconds } = running;
  output.result(
    {
      brainUrl,
      readySeconds,
      members: members.map((m) => ({
        name: m.name,
        pid: m.pid(),
        dataDir: m.dataDir,
        log: m.logPath,
        endpoint: m.endpoint,
        pools: m.pools,
      })),
    },
    () => {
      output.table(
        ["name", "state", "pid", "address", "metrics", "pools", "log"],
        members.map((m) => [
          m.name,
          paintState(output, "Online"),
          `${m.pid()}`,
          m.endpoint.adminUrl,
          `${m.endpoint.metricsUrl}/metrics`,
          m.pools.map((pool) => pool.name).join(" ") || "-",
          m.logPath,
        ]),
        { right: [2] },
      );
      output.line(`ready in ${secondsText(readySeconds)}. The brain's admin address is ${brainUrl}`);
      output.line(
        `try: couchestor volume import NAME --file FILE --data-dir ${dataDir}     (Ctrl-C here stops everything)`,
      );
    },
  );
}

function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
