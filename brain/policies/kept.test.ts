import { expect, test } from "bun:test";
import { NamePool } from "./kept.ts";

test("names of volumes that come and go for years don't pile up", () => {
  const names = new NamePool(3);
  const sizes = Array.from({ length: 10 }, (_, i) => {
    expect(names.one(`pvc-${i}`)).toBe(`pvc-${i}`);
    return names.size;
  });
  expect(Math.max(...sizes)).toBe(3);
});
