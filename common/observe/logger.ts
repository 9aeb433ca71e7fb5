/**
 * Logging: pino, straight to stdout or stderr (no worker, so that a compiled binary and a crash lose nothing), as text or JSON.
 * Every line is written before the call returns, so nothing has to be flushed when the process ends.
 */
import pino from "pino";
import { z } from "zod";
import { type Clock, isoNow } from "../runtime/clock.ts";
import { textLine } from "./log-text.ts";
import { redact, redactText } from "./redact.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export const logFormats = ["text", "json"] as const;
export const logLevelSchema = z.enum(logLevels);
export const logFormatSchema = z.enum(logFormats);
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = (typeof logFormats)[number];

/** `logger.info({ pool }, "pool opened")`; an error goes under `err`. */
export type Logger = pino.Logger;

export interface LoggerOptions {
  clock: Clock;
  /** Shown in front of the message: `agent`, `brain`. */
  component: string;
  level?: LogLevel;
  format?: LogFormat;
  /** Where lines go; stderr unless told otherwise, so that stdout stays free for results. */
  destination?: "stdout" | "stderr" | { write(line: string): void };
}

/** A logger. Fields whose names say that they hold a secret are replaced, at any depth, and so are private keys in text. */
export function createLogger(options: LoggerOptions): Logger {
  const { clock, component, level = "info", format = "json", destination = "stderr" } = options;
  const sink = typeof destination === "string" ? fileSink(destination) : destination;
  const stream = format === "json" ? sink : { write: (line: string) => sink.write(textLine(line)) };
  const logger = pino(
    {
      level,
      base: { component },
      timestamp: () => `,"time":"${isoNow(clock)}"`,
      formatters: {
        log: (fields) => redact(fields) as Record<string, unknown>,
      },
      serializers: { err: (error: unknown) => error },
      hooks: {
        logMethod(args, method) {
          const clean = args.map((arg) => (typeof arg === "string" ? redactText(arg) : arg));
          method.apply(this, clean as Parameters<typeof method>);
        },
      },
    },
    stream,
  );
  return redactChildren(logger);
}

/** pino formats the fields of a line, but not those a child brings along. */
function redactChildren(logger: Logger): Logger {
  const { child } = logger;
  logger.child = function (this: Logger, bindings: pino.Bindings, options?: pino.ChildLoggerOptions) {
    return Reflect.apply(child, this, [redact(bindings), options]);
  } as typeof child;
  return logger;
}

function fileSink(destination: "stdout" | "stderr"): { write(line: string): void } {
  return pino.destination({ dest: destination === "stdout" ? 1 : 2, sync: true });
}

/** A logger that says nothing, for tests and tools. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}
