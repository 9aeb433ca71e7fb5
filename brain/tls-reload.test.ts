import { expect, test } from "bun:test";
import { copyFile, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { createTlsFiles } from "@couchestor/common/tls/create-files.ts";
import { parseBrainConfig } from "./config.ts";
import { silentLog } from "./ports.ts";
import { startBrain } from "./wiring.ts";

/** The system's clock, but whoever waits for long waits for a moment. */
const clock = {
  wallMs: () => systemClock.wallMs(),
  monotonicMs: () => systemClock.monotonicMs(),
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 20), signal),
  after: (ms: number, run: () => void) => systemClock.after(ms, run),
};

test("certificates that are renewed on disk are used for new connections, without a restart", async () => {
  await using dir = await tempDir("brain-tls");
  const [old, renewed] = [join(dir.path, "old"), join(dir.path, "new")];
  for (const directory of [old, renewed]) await createTlsFiles({ dir: directory, hosts: [] });
  const at = (name: string) => join(old, name);
  const listen = ["--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"];
  const tls = ["--tls-cert", at("brain.crt"), "--tls-key", at("brain.key"), "--admin-client-ca", at("admin-ca.crt")];
  const cas = ["--agent-ca", at("agent-ca.crt"), "--peer-ca", at("agent-ca.crt")];
  const config = parseBrainConfig(["--data-dir", join(dir.path, "data"), ...listen, ...tls, ...cas]);
  const running = await startBrain(config, { clock, prng: systemPrng, log: silentLog });
  try {
    const answers = async (from: string): Promise<boolean> => {
      const pem = (name: string) => readFile(join(from, name), "utf8");
      const [cert, key, ca] = await Promise.all(["admin.crt", "admin.key", "brain-ca.crt"].map(pem));
      const init = { tls: { cert, key, ca, rejectUnauthorized: true }, keepalive: false } as RequestInit;
      return fetch(`${running.urls.admin}/v1/version`, init).then(
        (response) => response.ok,
        () => false,
      );
    };
    const keep = join(dir.path, "keep");
    await mkdir(keep);
    for (const name of await readdir(old)) await copyFile(at(name), join(keep, name));
    expect([await answers(keep), await answers(renewed)]).toEqual([true, false]);
    for (const name of await readdir(renewed)) await copyFile(join(renewed, name), at(name));
    const limitMs = systemClock.monotonicMs() + 60_000;
    while (!(await answers(renewed))) {
      if (systemClock.monotonicMs() > limitMs) throw new Error("the new certificates are not used");
      await systemClock.sleep(20);
    }
    expect(await answers(keep)).toBe(false);
  } finally {
    await running.stop();
  }
});
