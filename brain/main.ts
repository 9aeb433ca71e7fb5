/** `couchestor brain`: flags, start, wait for a stop signal, ordered shutdown. */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { createLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { onStopSignal } from "@couchestor/common/runtime/shutdown.ts";
import { type BrainConfig, brainUsage, parseBrainConfig, storeOf } from "./config.ts";
import { startBrain } from "./wiring.ts";

/** Runs a brain until it is told to stop. Returns the exit code: 0 after a clean stop, 1 for a failure, 2 for wrong flags or a data folder in use. */
export async function runBrain(argv: string[]): Promise<number> {
  if (storeOf(argv) === "kubernetes") return await (await import("./operator/main.ts")).runOperator(argv);
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(`${brainUsage}\n`);
    return 0;
  }
  let config: BrainConfig;
  try {
    config = parseBrainConfig(argv);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  const log = createLogger({
    clock: systemClock,
    component: "brain",
    format: config.logFormat,
    level: config.logLevel,
  });
  const stopped = Promise.withResolvers<string>();
  const forget = onStopSignal(stopped.resolve);
  try {
    const running = await startBrain(config, { clock: systemClock, prng: systemPrng, log });
    const signal = await stopped.promise;
    log.info({ signal }, "stopping");
    const late = (await running.stop()).filter((step) => step.outcome !== "done");
    for (const step of late)
      log.error({ ...step, error: String(step.error ?? "") }, "a step of the shutdown did not end well");
    return late.length === 0 ? 0 : 1;
  } catch (error) {
    log.error({ err: error }, error instanceof Error ? error.message : String(error));
    return isAppError(error, "FailedPrecondition") || isAppError(error, "InvalidArgument") ? 2 : 1;
  } finally {
    forget();
  }
}
