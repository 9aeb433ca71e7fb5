/**
 * A cluster of real agents on real NVMe devices: one of them says that it is failing, and is emptied while the data stays whole.
 * lab: machine=bare timeoutSeconds=1800 memoryMiB=3584
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RepairStatus } from "@couchestor/common/api/admin.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { askHost, until } from "@couchestor/common/testing/lab.ts";
import type { Subprocess } from "bun";

const program = [process.execPath, join(import.meta.dir, "../../couchestor.ts")];
const dir = mkdtempSync(join(tmpdir(), "couchestor-evacuation-"));
const data = (name: string): string => join(dir, name);
const file = data("file.bin");
/** One agent with one device each. */
const nodes = [0, 1, 2, 3] as const;
const daemons: Subprocess[] = [];

function start(name: string, ...words: string[]): void {
  const log = Bun.file(data(`${name}.log`));
  daemons.push(Bun.spawn([...program, ...words], { stdin: "ignore", stdout: log, stderr: log, cwd: dir }));
}

function run(...words: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...program, ...words], { cwd: dir });
  if (exitCode !== 0) throw new Error(`couchestor ${words.join(" ")}: exit ${exitCode}: ${stderr}${stdout}`);
  return stdout.toString();
}

/** What the daemons last said, for a failure that can't be seen from outside. */
const lastWords = (): string =>
  ["brain", ...nodes.map((n) => `n${n}`)]
    .map(
      (name) =>
        `${name}: ${readFileSync(data(`${name}.log`), "utf8")
          .split("\n")
          .slice(-6)
          .join(" | ")}`,
    )
    .join("\n");

/** As `until`, with the daemons' last words. A look that fails has found nothing yet. */
async function wait<T>(look: () => T | undefined, timeoutMs: number, words: string): Promise<T> {
  let failed: unknown;
  const found = async () => {
    try {
      return look();
    } catch (error) {
      failed = error;
      return undefined;
    }
  };
  return await until(found, timeoutMs, words).catch((error) => {
    throw new Error(`${error.message}\n${failed ?? ""}\n${lastWords()}`);
  });
}

const repair = (): RepairStatus => JSON.parse(run("repair", "status", "--json", "--data-dir", data("brain")));
const sha256 = (path: string): string => new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
const endpoint = (name: string): { clusterUrl: string; metricsUrl: string } | undefined => {
  try {
    return JSON.parse(readFileSync(join(data(name), "endpoint.json"), "utf8"));
  } catch {
    return undefined;
  }
};

/** Where the device is, as `device list` has it. */
function pathOf(devices: readonly { path: string; serial?: string }[], serial: string): string {
  const found = devices.find((device) => device.serial === serial);
  if (found === undefined) throw new Error(`no device ${serial}`);
  return found.path;
}

beforeAll(async () => {
  writeFileSync(file, seededPrng(1).bytes(6 << 20));
  for (const n of nodes)
    await askHost({ verb: "plug", disk: `nvc${n}`, kind: "nvme", serial: `EVAC${n}`, sizeMiB: 512, slot: `rp${n}` });
  const listen = ["--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"];
  // An emulated machine with everything on two processors: an agent that is slow is not gone.
  start("brain", "brain", "--data-dir", data("brain"), "--offline-after", "60s", ...listen);
  await wait(() => endpoint("brain"), 180_000, "no brain");
  const brain = endpoint("brain")?.clusterUrl ?? "";
  const { devices } = JSON.parse(run("device", "list", "--json"));
  for (const n of nodes) {
    const pool = `p0=${pathOf(devices, `EVAC${n}`)}`;
    start(
      `n${n}`,
      "agent",
      "--node-name",
      `n${n}`,
      "--brain",
      brain,
      "--data-dir",
      data(`n${n}`),
      "--pool",
      pool,
      ...listen,
    );
  }
  await wait(
    () => {
      const { nodes: seen } = JSON.parse(run("node", "list", "--json", "--data-dir", data("brain")));
      return seen.length === nodes.length ? true : undefined;
    },
    240_000,
    "not all agents have come",
  );
  run(
    "volume",
    "import",
    "v1",
    "--file",
    file,
    "--code",
    "2+1",
    "--stripe-size",
    "256KiB",
    "--data-dir",
    data("brain"),
  );
}, 3_600_000);

afterAll(async () => {
  for (const daemon of daemons) daemon.kill("SIGKILL");
  await Promise.all(daemons.map((daemon) => daemon.exited));
  rmSync(dir, { recursive: true, force: true });
});

test("a device that says it is failing is noticed and emptied before it is dead, and every byte is still there", async () => {
  await askHost({ verb: "set", device: "nvc0", property: "smart_critical_warning", value: 4 });
  const done = await wait(
    () => {
      const { evacuation } = repair();
      return evacuation.pools[0]?.phase === "emptied" ? evacuation : undefined;
    },
    240_000,
    "not emptied",
  );
  expect(done.pools).toMatchObject([
    { nodeName: "n0", poolName: "p0", runsLeft: 0, reasons: ["reliability is degraded by media or internal errors"] },
  ]);
  expect(done.runsMoved).toBeGreaterThan(0);
  const metrics = await (await fetch(`${endpoint("n0")?.metricsUrl}/metrics`)).text();
  expect(metrics).toMatch(/couchestor_device_health_state\{[^}]*state="Failing"[^}]*\} 1/);
  expect(metrics).toMatch(/couchestor_device_temperature_celsius\{[^}]*\} 50/);
  run("volume", "export", "v1", "--file", data("back.bin"), "--data-dir", data("brain"));
  expect(sha256(data("back.bin"))).toBe(sha256(file));
}, 3_600_000);

test("two of four failing at once are held back, with the reason", async () => {
  await askHost({ verb: "set", device: "nvc1", property: "smart_critical_warning", value: 4 });
  const held = await wait(
    () => {
      const { evacuation } = repair();
      return evacuation.heldBack === undefined ? undefined : evacuation;
    },
    240_000,
    "not held back",
  );
  expect(held.heldBack).toMatch(/2 of 4 pools stand on devices that report that they are failing/);
  expect(held.running).toBe(0);
}, 3_600_000);
