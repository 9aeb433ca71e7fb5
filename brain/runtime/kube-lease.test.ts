import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { kubeTypes } from "../kube/objects.ts";
import { expectCode } from "../store/conformance-objects.ts";
import { type ControlPlane, sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { testClient } from "../testing/kube-fixture.ts";
import type { LeaderProcessSettings } from "../testing/leader-process.ts";
import { until } from "../testing/processes.ts";
import { kubeLeaseStore } from "./kube-lease.ts";
import { LeaderElection } from "./leader-election.ts";
import type { Lease, LeaseTimes } from "./lease.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: leader election with real processes: ${missing}`);

/** Long enough that a busy machine costs nobody the lease. */
const times = { leaseDurationMs: 6_000, renewDeadlineMs: 4_500, retryPeriodMs: 400 };
const callMsMax = 30_000;

interface Effect {
  name: string;
  term: number;
  atMs: number;
}

describe.skipIf(missing !== undefined)("on a real API server", () => {
  let plane: ControlPlane;
  const processes: ReturnType<typeof Bun.spawn>[] = [];
  beforeAll(async () => {
    plane = await sharedControlPlane();
  }, 180_000);
  afterEach(async () => {
    for (const one of processes.splice(0)) {
      one.kill("SIGKILL");
      await one.exited;
    }
  });

  test("the lease reads back as it was written, and only one of two writers wins", async () => {
    const store = kubeLeaseStore(testClient(plane), { namespace: "default", name: "conformance" });
    expect(await store.read(callMsMax)).toBeUndefined();
    const now = "2026-01-02T03:04:05.678Z";
    const lease = { holder: "a", durationMs: 15_000, acquiredAt: now, renewedAt: now, transitions: 1 };
    const created = await store.create(lease, callMsMax);
    expect(created).toMatchObject({
      ...lease,
      acquiredAt: "2026-01-02T03:04:05.678000Z",
      renewedAt: "2026-01-02T03:04:05.678000Z",
    });
    expect(await store.read(callMsMax)).toEqual(created);
    await expectCode(store.create(lease, callMsMax), "AlreadyExists");
    const writes = ["b", "c"].map((holder) =>
      store.replace({ ...created, holder, renewedAt: now, acquiredAt: now }, callMsMax),
    );
    const answers = await Promise.allSettled(writes);
    expect(answers.map((answer) => answer.status).sort()).toEqual(["fulfilled", "rejected"]);
    await testClient(plane).delete(kubeTypes.lease, { namespace: "default", name: "conformance" });
    // The API server would make a new lease of a PUT.
    await expectCode(store.replace(created, callMsMax), "Conflict");
    expect(await store.read(callMsMax)).toBeUndefined();
  });

  test("processes: one that is stopped and continued never acts again in its term, clocks hours apart change nothing, a release is quick", async () => {
    const kubeconfig = await plane.kubeconfigOf({ token: plane.token() });
    const log = join(plane.dir, "effects.log");
    writeFileSync(log, "");
    const start = (name: string, wallOffMs: number) => {
      const settings: LeaderProcessSettings = { name, kubeconfig, lease: "brains", times, log, wallOffMs };
      const program = join(import.meta.dir, "..", "testing", "leader-process.ts");
      const child = Bun.spawn([process.execPath, program, JSON.stringify(settings)], {
        stdout: "ignore",
        stderr: "ignore",
      });
      processes.push(child);
      return child;
    };
    const effects = (): Effect[] =>
      readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line.startsWith("effect "))
        .map((line) => {
          const [, name = "", term, nanoseconds] = line.split(" ");
          return { name, term: Number(term), atMs: Number(nanoseconds) / 1e6 };
        });
    const acts = (name: string, term: number) =>
      until(`${name} acts in term ${term}`, () => effects().some((e) => e.name === name && e.term === term));

    const a = start("a", -7_200_000);
    await acts("a", 1);
    const b = start("b", 7_200_000);
    // b has the lease in sight for longer than it lasts, and its clock says that it is hours old.
    await systemClock.sleep(times.leaseDurationMs + 500);
    expect(effects().filter((effect) => effect.name === "b")).toEqual([]);
    const lease = await kubeLeaseStore(testClient(plane), { namespace: "default", name: "brains" }).read(callMsMax);
    expect(Date.parse((lease as Lease).renewedAt)).toBeLessThan(systemClock.wallMs() - 7_000_000);

    a.kill("SIGSTOP");
    await acts("b", 2);
    const stoppedEffects = effects().filter((effect) => effect.name === "a").length;
    a.kill("SIGCONT");
    await systemClock.sleep(1_000);
    expect(effects().filter((effect) => effect.name === "a")).toHaveLength(stoppedEffects);

    const releasedAtMs = Number(process.hrtime.bigint()) / 1e6;
    b.kill("SIGTERM");
    expect(await b.exited).toBe(0);
    await acts("a", 3);
    const first = (term: number) =>
      Math.min(
        ...effects()
          .filter((e) => e.term === term)
          .map((e) => e.atMs),
      );
    const last = (term: number) =>
      Math.max(
        ...effects()
          .filter((e) => e.term === term)
          .map((e) => e.atMs),
      );
    expect(last(1)).toBeLessThan(first(2));
    expect(last(2)).toBeLessThan(first(3));
    console.log(
      `leader election, lease ${times.leaseDurationMs} ms: silent for ${Math.round(first(2) - last(1))} ms after a stop, ` +
        `${Math.round(first(3) - last(2))} ms between leaders at a release`,
    );
    expect(first(3) - releasedAtMs).toBeLessThan(times.leaseDurationMs);
  }, 180_000);

  test("an API server that restarts in between doesn't cost the lease; one that is away too long does, and it is taken again", async () => {
    const store = kubeLeaseStore(testClient(plane), { namespace: "default", name: "restart" });
    const election = (leaseTimes: LeaseTimes) =>
      new LeaderElection(
        { store, clock: systemClock, prng: systemPrng, logger: silentLogger() },
        { name: "only", times: leaseTimes, absentMeansNew: true },
      );
    const forever = new AbortController().signal;
    const patient = { leaseDurationMs: 40_000, renewDeadlineMs: 30_000, retryPeriodMs: 200 };
    const first = await election(patient).campaign(forever);
    await plane.restartApiServer();
    await until("it is renewed again", () => (first?.leadership.remainingMs() ?? 0) > patient.renewDeadlineMs - 1_000);
    expect(first?.leadership.isLeader()).toBe(true);
    await first?.release();

    const hasty = election({ leaseDurationMs: 1_500, renewDeadlineMs: 1_000, retryPeriodMs: 200 });
    const second = await hasty.campaign(forever);
    await plane.stopApiServer();
    expect(await second?.leadership.whenEnded).toBe("lost");
    const again = election({ leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 200 }).campaign(forever);
    await plane.startApiServer();
    const third = await again;
    expect(third?.leadership.isLeader()).toBe(true);
    await third?.release();
    expect((await store.read(callMsMax))?.holder).toBe("");
  }, 180_000);
});
