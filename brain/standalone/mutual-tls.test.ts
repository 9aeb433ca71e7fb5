/** Brain, agents and command line with certificates of `cert init`: each role opens what it may, and nothing else. */
import { expect, test } from "bun:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { run } from "../cli/testing/run.ts";
import { Member } from "./member.ts";

const program = [process.execPath, join(import.meta.dir, "../../couchestor.ts")];
const anyPort = ["--listen", "--admin-listen", "--metrics-listen", "--health-listen"].flatMap((flag) => [
  flag,
  "127.0.0.1:0",
]);

test("import and export under mutual TLS; without a certificate, or with another role's, the door stays shut", async () => {
  await using dir = await tempDir("mutual-tls");
  const tls = join(dir.path, "tls");
  const pem = (name: string): string => join(tls, name);
  expect((await run(["cert", "init", "--dir", tls])).code).toBe(0);
  const members: Member[] = [];
  const start = async (name: string, role: "brain" | "agent", flags: string[]) => {
    const dataDir = join(dir.path, name);
    await mkdir(join(dataDir, "pool"), { recursive: true });
    const member = new Member({
      name,
      role,
      dataDir,
      program,
      env: process.env,
      clock: systemClock,
      restart: false,
      onNote: () => undefined,
    });
    members.push(member);
    await member.start([
      "--data-dir",
      dataDir,
      ...anyPort,
      "--tls-cert",
      pem(`${role}.crt`),
      "--tls-key",
      pem(`${role}.key`),
      "--admin-client-ca",
      pem("admin-ca.crt"),
      ...flags,
    ]);
    return member.ready(60_000);
  };
  try {
    const brain = await start("brain", "brain", [
      "--heartbeat-every",
      "200ms",
      "--offline-after",
      "2s",
      "--agent-ca",
      pem("agent-ca.crt"),
      "--peer-ca",
      pem("agent-ca.crt"),
    ]);
    expect(brain.adminUrl).toStartWith("https://");
    const cas = ["--client-ca", "--peer-ca"].flatMap((flag) =>
      ["brain-ca.crt", "agent-ca.crt"].flatMap((ca) => [flag, pem(ca)]),
    );
    const agents = ["node-1", "node-2", "node-3"].map((name) =>
      start(name, "agent", [
        "--node-name",
        name,
        "--brain",
        brain.clusterUrl,
        "--pool",
        `pool=${join(dir.path, name, "pool")}`,
        ...cas,
      ]),
    );
    const endpoints = await Promise.all(agents);
    const admin = ["--brain", brain.adminUrl, "--tls-dir", tls];
    const file = join(dir.path, "file");
    await writeFile(file, seededPrng(3).bytes(300_000));
    // Until the pools have learned their cluster, the brain has nowhere to put the shards.
    for (let code = 1; code !== 0; await systemClock.sleep(50))
      code = (await run(["volume", "import", "photos", "--file", file, "--code", "2+1", ...admin])).code;
    const out = join(dir.path, "out");
    expect((await run(["volume", "export", "photos", "--file", out, ...admin])).code).toBe(0);
    expect((await readFile(out)).equals(await readFile(file))).toBe(true);

    const without = await run(["node", "list", "--brain", brain.adminUrl]);
    expect(without.code).toBe(1);
    expect(without.stderr).toContain("--tls-dir");
    for (const role of ["agent", "brain"]) {
      const wrong = [
        "--tls-cert",
        pem(`${role}.crt`),
        "--tls-key",
        pem(`${role}.key`),
        "--tls-ca",
        pem("brain-ca.crt"),
      ];
      expect((await run(["node", "list", "--brain", brain.adminUrl, ...wrong])).code).toBe(1);
    }
    const ca = await readFile(pem("agent-ca.crt"), "utf8");
    const key = await readFile(pem("admin.key"), "utf8");
    const cert = await readFile(pem("admin.crt"), "utf8");
    await expect(fetch(`${endpoints[0]?.clusterUrl}/v1/pools`, { tls: { ca, key, cert } })).rejects.toThrow();
  } finally {
    for (const member of members.toReversed()) await member.stop(10_000);
  }
}, 180_000);
