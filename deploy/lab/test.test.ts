import { expect, test } from "bun:test";
import { machines, qemuArguments } from "./machine.ts";
import { countsOf, needsOf } from "./test.ts";

test("a test file that asks for nothing gets the standard machine, one that mistypes is refused", () => {
  expect(needsOf("import x").machine).toBe("standard");
  expect(needsOf("/**\n * lab: machine=bare timeoutSeconds=60\n */")).toEqual({
    machine: "bare",
    timeoutSeconds: 60,
    memoryMiB: 2048,
  });
  expect(() => needsOf("// lab: machine=nine")).toThrow("allowed: machine=standard|eight|bare");
  expect(() => needsOf("// lab: timeout=9")).toThrow("timeout=9");
});

test("a run that died before it counted, or counted nothing, has failed", () => {
  expect(countsOf(" 12 pass\n 1 skip\n 0 fail\n", 0)).toEqual({ passed: 12, failed: 0, skipped: 1 });
  expect(countsOf(" 12 pass\n 0 fail\n", undefined)).toEqual({ passed: 12, failed: 1, skipped: 0 });
  expect(countsOf("", 0).failed).toBe(1);
  expect(countsOf(" 3 pass\n 2 fail\n", 1).failed).toBe(2);
});

test("every image of a machine is attached, and every folder the guest sees is read-only but its job", () => {
  for (const machine of Object.values(machines)) {
    const words = qemuArguments({
      machine,
      lab: "/lab",
      job: "/job",
      shares: ["/a", "/b"],
      memoryMiB: 512,
      cpus: 1,
      accelerator: "tcg",
    });
    for (const { name } of machine.images) {
      expect(words.filter((word) => word.includes(`drive=${name},`) || word.endsWith(`drive=${name}`)).length).toBe(1);
    }
    const folders = words.filter((word) => word.startsWith("local,"));
    expect(folders.filter((word) => !word.includes("readonly=on")).map((word) => word.split(",")[1])).toEqual([
      "id=job",
    ]);
  }
});
