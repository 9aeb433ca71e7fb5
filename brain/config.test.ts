import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { parseBrainConfig } from "./config.ts";

test("every problem is told at once, each with its flag", () => {
  try {
    parseBrainConfig([
      "--listen",
      "x",
      "--repair-rate",
      "much",
      "--offline-after",
      "1s",
      "--repair-concurrency",
      "0",
      "--tls-cert",
      "a",
      "--surprise",
      "1",
    ]);
    throw new Error("accepted");
  } catch (error) {
    const text = isAppError(error, "InvalidArgument") ? error.message : String(error);
    for (const flag of [
      "--data-dir",
      "--listen",
      "--repair-rate",
      "--offline-after",
      "--repair-concurrency",
      "--agent-ca",
      "--surprise",
    ]) {
      expect(text).toContain(flag);
    }
  }
});

test("defaults are the documented ones, and units are read", () => {
  const config = parseBrainConfig(["--data-dir", "d", "--repair-rate", "200MiB/s", "--repair-after", "1h30m"]);
  expect(config.options).toMatchObject({ heartbeatEveryMs: 1000, offlineAfterMs: 4000, repairAfterMs: 5_400_000 });
  expect(config.options.repair).toMatchObject({
    bytesPerSecondMax: 200 * 1024 * 1024,
    concurrency: 2,
    massFailureShare: 0.34,
  });
  expect(config.listen).toEqual({ hostname: "127.0.0.1", port: 0 });
});
