import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { freePorts } from "./ports.ts";

const different = (ports: object): number => new Set(Object.values(ports)).size;

test("the brain gets its earlier ports while all of them are free, else four others", async () => {
  const first = await freePorts(undefined);
  expect(different(first)).toBe(4);
  expect(await freePorts(first)).toEqual(first);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(first.admin, "127.0.0.1", resolve));
  try {
    const second = await freePorts(first);
    expect(different(second)).toBe(4);
    expect(second.admin).not.toBe(first.admin);
  } finally {
    await new Promise((resolve) => taken.close(resolve));
  }
});
