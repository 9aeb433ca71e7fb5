import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { Exporter, type HistoryOptions, historyText } from "../testing/exporter.ts";
import { until } from "../testing/processes.ts";
import { type Prometheus, prometheusMissing, startPrometheus } from "../testing/prometheus.ts";
import type { Heat } from "./heat.ts";
import { PrometheusHeat } from "./prometheus-heat.ts";

const missing = prometheusMissing();
if (missing) console.log(`skipped: heat from a real Prometheus: ${missing}`);

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function iops(heat: Heat): number {
  if (heat.kind !== "score") throw new Error(`${heat.reason}: ${heat.message}`);
  return heat.iops;
}

test("who has been answered listens to its signal no longer: it may live as long as the brain", async () => {
  const heat = new PrometheusHeat(systemClock, { url: "http://127.0.0.1:1" });
  const { signal } = new AbortController();
  let listening = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof add>) => {
      listening += 1;
      add(...args);
    },
    removeEventListener: (...args: Parameters<typeof remove>) => {
      listening -= 1;
      remove(...args);
    },
  });
  const asked = heat.snapshot(hourMs, signal);
  expect(listening).toBe(1);
  await expect(asked).rejects.toThrow("connection refused");
  expect(listening).toBe(0);
});

describe.skipIf(missing !== undefined)("heat from a real Prometheus with history", () => {
  let server: Prometheus;
  beforeAll(async () => {
    const endMs = systemClock.wallMs();
    const volume = (pvName: string, more: Partial<HistoryOptions> = {}): HistoryOptions => ({
      pvName,
      endMs,
      lengthMs: 3 * hourMs,
      scrapeIntervalMs: 30_000,
      readsPerSecond: () => 100,
      writesPerSecond: () => 50,
      ...more,
    });
    const volumes = [
      volume("steady"),
      volume("idle", { readsPerSecond: () => 0, writesPerSecond: () => 0 }),
      volume("was-busy", { readsPerSecond: (age) => (age > hourMs / 2 ? 900 : 0), writesPerSecond: () => 0 }),
      volume("restarted", { resetAgesMs: [10 * minuteMs, 11 * minuteMs, 40 * minuteMs, 50 * minuteMs] }),
      volume("holed", { gap: (age) => age > 20 * minuteMs && age < 35 * minuteMs }),
      volume("unpublished", { gap: (age) => age < 20 * minuteMs }),
      volume("gone-since-yesterday", { gap: (age) => age < 2 * hourMs }),
      volume("new", { lengthMs: 9 * minuteMs }),
      volume("moved", { node: "node-1", gap: (age) => age < 25 * minuteMs }),
      volume("moved", { node: "node-2", gap: (age) => age >= 25 * minuteMs }),
      volume("scraped-twice", { labels: { job: "a" } }),
      volume("scraped-twice", { labels: { job: "b" } }),
    ];
    server = await startPrometheus({ history: historyText(volumes) });
  }, 180_000);
  afterAll(async () => {
    await server?.stop();
  });

  const heats = async (clock = systemClock, windowMs = hourMs) => {
    const source = new PrometheusHeat(clock, { url: server.url });
    const snapshot = await source.snapshot(windowMs);
    return { snapshot, of: (name: string) => snapshot.of([name]) };
  };

  test("reads and writes count together, recent ones more, and each restart of the counters is seen through", async () => {
    const { of, snapshot } = await heats();
    expect(iops(of("steady"))).toBeCloseTo(150, 0);
    expect(iops(of("idle"))).toBe(0);
    // The older half of the window has a third of its weight.
    expect(iops(of("was-busy"))).toBeWithin(270, 330);
    expect(iops(of("restarted"))).toBeWithin(140, 152);
    expect(of("steady")).toMatchObject({ source: "volume_num_read_ops+volume_num_write_ops" });
    // The history ends when it was made; since then its server was started.
    const { samples, ageMs } = of("steady") as { samples: number; ageMs: number };
    expect(ageMs).toBeWithin(0, 3 * minuteMs);
    expect(samples).toBeWithin(120 - ageMs / 30_000 - 1, 122);
    expect(snapshot.requests).toBe(5);
  });

  test("a gap is no silence; a target that moved and an exporter scraped twice count once", async () => {
    const { of } = await heats();
    expect(iops(of("holed"))).toBeCloseTo(150, 0);
    expect(iops(of("moved"))).toBeWithin(140, 160);
    expect(iops(of("scraped-twice"))).toBeCloseTo(150, 0);
  });

  test("what has stopped, has just begun or never was is Unknown with its reason", async () => {
    const { of } = await heats();
    expect(of("unpublished")).toMatchObject({ kind: "unknown", reason: "Stale" });
    expect(of("gone-since-yesterday")).toMatchObject({ kind: "unknown", reason: "SeriesMissing" });
    expect(of("never-was")).toMatchObject({ kind: "unknown", reason: "SeriesMissing" });
    expect(of("new")).toMatchObject({ kind: "unknown", reason: "TooFewSamples" });
  });

  test("a window that is too short for the scrapes is refused for all, with what to do", async () => {
    const { of } = await heats(systemClock, minuteMs);
    expect(of("steady")).toMatchObject({ kind: "unknown", reason: "WindowTooShort" });
    expect((of("steady") as { message: string }).message).toContain("lengthen samplingWindow");
  });

  test("our clock may be wrong by hours in either direction", async () => {
    for (const offMs of [-5 * hourMs, 7 * hourMs]) {
      const { of, snapshot } = await heats(new FakeClock(systemClock.wallMs() + offMs));
      expect(iops(of("steady"))).toBeCloseTo(150, 0);
      expect(of("unpublished")).toMatchObject({ reason: "Stale" });
      expect(snapshot.clockOffsetMs).toBeWithin(-offMs - minuteMs, -offMs + minuteMs);
    }
  });

  test("metrics of another name serve volumes that lack the first", async () => {
    const metrics = { reads: ["nonexistent_ops", "volume_num_read_ops"], writes: ["volume_num_write_ops"] };
    const snapshot = await new PrometheusHeat(systemClock, { url: server.url, metrics }).snapshot(hourMs);
    expect(snapshot.of(["steady"])).toMatchObject({ source: "volume_num_read_ops+volume_num_write_ops" });
    const none = { reads: ["nonexistent_ops"], writes: ["nonexistent_ops"] };
    const empty = await new PrometheusHeat(systemClock, { url: server.url, metrics: none }).snapshot(hourMs);
    expect((empty.of(["steady"]) as { message: string }).message).toContain("no series nonexistent_ops at all");
  });

  test("many who ask at once are one question, and the answer serves for 30 s", async () => {
    const clock = new FakeClock(systemClock.wallMs());
    const source = new PrometheusHeat(clock, { url: server.url });
    await Promise.all(Array.from({ length: 50 }, () => source.snapshot(hourMs)));
    expect(source.requests).toBe(5);
    await clock.advance(29_000);
    await source.snapshot(hourMs);
    expect(source.requests).toBe(5);
    await clock.advance(1_001);
    await source.snapshot(hourMs);
    expect(source.requests).toBe(10);
  });

  test("a Prometheus that was down answers again", async () => {
    const source = new PrometheusHeat(systemClock, { url: server.url, ttlMs: 0 });
    await server.kill();
    await expect(source.snapshot(hourMs)).rejects.toThrow(/Prometheus can't be reached/);
    await expect(source.ping()).rejects.toThrow(/can't be reached/);
    await server.start();
    await source.ping();
    expect(iops((await source.snapshot(hourMs)).of(["steady"]))).toBeCloseTo(150, 0);
  }, 180_000);
});

describe.skipIf(missing !== undefined)("heat from a real Prometheus that scrapes", () => {
  test("an exporter that restarts is seen through; one that is down makes its volumes Unknown, not cold", async () => {
    await using exporter = new Exporter();
    await using server = await startPrometheus({ targets: [exporter.target], scrapeIntervalMs: 100 });
    const stop = new AbortController();
    const load = (async () => {
      for (let i = 0; !stop.signal.aborted; i++) {
        exporter.count("busy", 40, 10);
        if (i === 30) exporter.set("busy", { volume_num_read_ops: 0, volume_num_write_ops: 0 });
        await systemClock.sleep(50);
      }
    })();
    try {
      const source = new PrometheusHeat(systemClock, { url: server.url, ttlMs: 0, ratePerSecond: 1_000 });
      const heat = async () => (await source.snapshot(6_000)).of(["busy"]);
      const score = await until(
        "a score",
        async () => {
          const found = await heat();
          return found.kind === "score" && found;
        },
        { everyMs: 200 },
      );
      // 50 operations every 50 ms at most, fewer on a busy machine; the restart would show as a negative or a huge rate.
      expect(score.iops).toBeWithin(100, 1_100);
      await exporter.stop();
      let lowest = score.iops;
      await until(
        "the exporter is known to be down",
        async () => {
          const found = await heat();
          if (found.kind === "score") lowest = Math.min(lowest, found.iops);
          return found.kind === "unknown" && found.reason === "ExporterDown";
        },
        { everyMs: 100 },
      );
      expect(lowest).toBeGreaterThan(100);
    } finally {
      stop.abort();
      await load;
    }
  }, 180_000);
});
