import { expect, test } from "bun:test";
import { createRegistry } from "@couchestor/common/observe/registry.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { DeviceLatencies, latencyBucketsSeconds } from "../store/io-latency.ts";
import { addIoLatencyMetrics } from "./io-latency-metrics.ts";

async function scrape(latencies: DeviceLatencies): Promise<string[]> {
  const registry = createRegistry({ role: "agent", defaultLabels: { node: "n1" } });
  const deviceAt = (path: string) => (path === "/dev/sda" ? "disk-1" : undefined);
  addIoLatencyMetrics([registry], { latencies: () => latencies.all(), deviceAt });
  return (await registry.metrics()).split("\n").filter((line) => line.includes("couchestor_device_io_latency"));
}

test("each operation is counted in its class, classes are cumulative, and what was never done has no series", async () => {
  const latencies = new DeviceLatencies(new FakeClock());
  const disk = latencies.of("/dev/sda");
  for (const milliseconds of [0.05, 0.06, 1, 1.5, 90_000]) disk.observe("read", milliseconds);
  latencies.of("/dev/other").observe("sync", 3);
  expect(latencies.of("/dev/sda")).toBe(disk);
  const lines = await scrape(latencies);
  const labels = 'device="disk-1",path="/dev/sda",operation="read",node="n1"';
  const bucket = (le: string) =>
    lines
      .find((line) => line.startsWith(`couchestor_device_io_latency_seconds_bucket{le="${le}",${labels}}`))
      ?.split(" ")
      .at(-1);
  expect(["0.00005", "0.0001", "0.0005", "0.001", "0.002", "30", "+Inf"].map(bucket)).toEqual([
    "1",
    "2",
    "2",
    "3",
    "4",
    "4",
    "5",
  ]);
  expect(lines).toContain(`couchestor_device_io_latency_seconds_count{${labels}} 5`);
  const sum = lines
    .find((line) => line.startsWith("couchestor_device_io_latency_seconds_sum{"))
    ?.split(" ")
    .at(-1);
  expect(Number(sum)).toBeCloseTo(90.00261, 5);
  expect(lines.filter((line) => line.includes('operation="write"'))).toEqual([]);
  expect(lines.filter((line) => line.includes('device="/dev/other"'))).toHaveLength(latencyBucketsSeconds.length + 3);
  expect(lines.filter((line) => line.startsWith("# TYPE"))).toEqual([
    "# TYPE couchestor_device_io_latency_seconds histogram",
  ]);
});
