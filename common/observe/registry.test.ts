import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { commit, version } from "../runtime/version.ts";
import { createRegistry, residentBytes } from "./registry.ts";

test("the registry tells version, memory, CPU and event-loop lag in Prometheus' text form", async () => {
  const registry = createRegistry({ role: "agent", defaultLabels: { node: "n1" } });
  const text = await registry.metrics();
  expect(text).toContain(`couchestor_build_info{version="${version}",commit="${commit}",role="agent",node="n1"} 1`);
  for (const name of ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"]) {
    const value = Number(new RegExp(`^${name}{node="n1"} (.+)$`, "m").exec(text)?.[1]);
    expect([name, value > 0]).toEqual([name, true]);
  }
  expect(text).toContain('couchestor_event_loop_lag_seconds{quantile="0.99",node="n1"}');
});

test("two registries live side by side", async () => {
  const [one, two] = [createRegistry({ role: "agent" }), createRegistry({ role: "brain" })];
  expect(await one.metrics()).toContain('role="agent"');
  expect(await two.metrics()).not.toContain('role="agent"');
});

test("resident memory is the process's own", () => {
  // The kernel's other word for it, in KiB, read right before and after.
  const told = () => 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  const before = told();
  const bytes = residentBytes() ?? 0;
  const after = told();
  expect(bytes).toBeWithin(0.8 * Math.min(before, after), 1.25 * Math.max(before, after));
});
