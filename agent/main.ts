/** `couchestor agent`: flags, start, wait for a stop signal, ordered shutdown. */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { createLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { onStopSignal } from "@couchestor/common/runtime/shutdown.ts";
import { type AgentConfig, agentUsage, parseAgentConfig } from "./config.ts";
import { startAgent } from "./wiring.ts";

/** Runs an agent until it is told to stop. Returns the exit code: 0 after a clean stop, 1 for a failure, 2 for wrong flags or a data folder in use. */
export async function runAgent(argv: string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(`${agentUsage}\n`);
    return 0;
  }
  let config: AgentConfig;
  try {
    config = parseAgentConfig(argv);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  const { logFormat: format, logLevel: level } = config;
  const log = createLogger({ clock: systemClock, component: "agent", format, level });
  const stopped = Promise.withResolvers<string>();
  const forget = onStopSignal(stopped.resolve);
  try {
    const running = await startAgent(config, { clock: systemClock, prng: systemPrng, log });
    const signal = await stopped.promise;
    log.info({ signal }, "stopping");
    const bad = (await running.stop()).filter((step) => step.outcome !== "done");
    for (const step of bad)
      log.error({ ...step, error: String(step.error ?? "") }, "a step of the shutdown did not end well");
    return bad.length === 0 ? 0 : 1;
  } catch (error) {
    const refused = isAppError(error, "FailedPrecondition") || isAppError(error, "InvalidArgument");
    log.error(refused ? {} : { err: error }, error instanceof Error ? error.message : String(error));
    return refused ? 2 : 1;
  } finally {
    forget();
  }
}
