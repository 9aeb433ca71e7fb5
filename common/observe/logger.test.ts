import { expect, test } from "bun:test";
import fc from "fast-check";
import { AppError } from "../errors/app-error.ts";
import { hostileValues } from "../testing/arbitraries.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { createLogger, type LogFormat } from "./logger.ts";
import { redact } from "./redact.ts";

function capture(format: LogFormat, level?: "warn") {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({
    clock: new FakeClock(),
    component: "agent",
    format,
    destination,
    ...(level ? { level } : {}),
  });
  return { logger, lines };
}

test("JSON lines carry the clock's time, the level, the component and the fields", () => {
  const { logger, lines } = capture("json");
  logger.info({ pool: "n1/a" }, "pool opened");
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    level: 30,
    time: "2026-01-01T00:00:00.000Z",
    component: "agent",
    pool: "n1/a",
    msg: "pool opened",
  });
});

test("text lines read left to right", () => {
  const { logger, lines } = capture("text");
  logger.child({ node: "n1" }).warn({ pool: "two words", count: 3 }, "pool is full");
  expect(lines).toEqual(['2026-01-01T00:00:00.000Z WARN  agent: pool is full node=n1 pool="two words" count=3\n']);
});

test("lines below the level are not written", () => {
  const { logger, lines } = capture("json", "warn");
  logger.info("quiet");
  logger.error("loud");
  expect(lines).toHaveLength(1);
});

test("secrets do not reach the log, at any depth, in children, in errors or in text", () => {
  const pem = "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----";
  for (const format of ["json", "text"] as const) {
    const { logger, lines } = capture(format);
    logger.info({ headers: { Authorization: "Bearer hunter2", accept: "*" }, tls: { key: "hunter2" } }, "request");
    logger.child({ apiKey: "hunter2" }).info({ deep: [{ userPassword: "hunter2" }] }, pem);
    logger.error(
      { err: new AppError("Internal", `bad ${pem}`, { data: { token: "hunter2", pool: "n1/a" } }) },
      "failed",
    );
    logger.info({ url: "https://admin:hunter2@brain.example/x" }, "see https://admin:hunter2@brain.example/x");
    expect(lines.join("")).not.toContain("hunter2");
    expect(lines.join("")).toContain("n1/a");
    expect(lines.join("")).toContain("brain.example");
  }
});

test("names that only look like secrets are kept", () => {
  expect(redact({ keyCount: 3, monkey: "banana", keys: 2, tokens: 5 })).toEqual({
    keyCount: 3,
    monkey: "banana",
    keys: 2,
    tokens: 5,
  });
});

test("a peer's text cannot forge a second line", () => {
  const { logger, lines } = capture("text");
  logger.info({ name: "x\n2026 FATAL forged" }, "hello\n2026 FATAL forged");
  expect(lines.join("").trimEnd().split("\n")).toHaveLength(1);
});

test("errors keep their code, cause and stack", () => {
  const { logger, lines } = capture("json");
  logger.error({ err: new AppError("NoSpace", "full", { cause: new Error("ENOSPC") }) }, "put failed");
  expect(JSON.parse(lines[0] ?? "").err).toMatchObject({
    code: "NoSpace",
    message: "full",
    cause: { message: "ENOSPC" },
  });
});

test("anything can be logged: cycles, huge values and hostile ones", () => {
  const cycle: Record<string, unknown> = { big: 10n, buffer: new Uint8Array(9) };
  cycle["self"] = cycle;
  const { logger, lines } = capture("json");
  logger.info({ cycle, huge: "x".repeat(100_000), many: new Array(1000).fill(1) }, "odd");
  expect(lines[0]?.length).toBeLessThan(10_000);
  fc.assert(
    fc.property(hostileValues, (value) => {
      JSON.parse(JSON.stringify({ value: redact(value) }));
    }),
    { numRuns: 200 },
  );
});
