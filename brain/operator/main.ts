/** `couchestor brain --store kubernetes`: flags, start, wait for a stop signal or the end, ordered shutdown. */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { createLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { onStopSignal } from "@couchestor/common/runtime/shutdown.ts";
import { type OperatorConfig, parseOperatorConfig } from "./config.ts";
import { operatorUsage } from "./flags.ts";
import { startOperator } from "./wiring.ts";

/**
 * Runs a brain in Kubernetes until it is told to stop. Returns the exit code: 0 after a clean stop, 1 for a failure or when something that
 * acted as the leader could not be ended (the process must end then, and with it whatever still acts), 2 for wrong flags or credentials.
 */
export async function runOperator(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(`${operatorUsage}\n`);
    return 0;
  }
  let config: OperatorConfig;
  try {
    config = parseOperatorConfig(argv);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  const logger = createLogger({
    clock: systemClock,
    component: "brain",
    format: config.brain.logFormat,
    level: config.brain.logLevel,
  });
  const stopped = Promise.withResolvers<string>();
  const forget = onStopSignal(stopped.resolve);
  try {
    const running = await startOperator(config, { clock: systemClock, prng: systemPrng, logger });
    const signal = await Promise.race([stopped.promise, running.whenEnded]);
    logger.info({ signal }, "stopping");
    const end = await running.stop();
    if (end === "stuck") logger.error({}, "something of an ended term still runs; ending the process");
    return end === "stopped" ? 0 : 1;
  } catch (error) {
    logger.error({ err: error }, error instanceof Error ? error.message : String(error));
    return isAppError(error, "FailedPrecondition") || isAppError(error, "InvalidArgument") ? 2 : 1;
  } finally {
    forget();
  }
}
