import { expect, test } from "bun:test";
import { decodable, spareOf } from "./decodable.ts";

const rs = { family: "rs", k: 4, m: 2 } as const;
const lrc = { family: "lrc", k: 6, l: 2, g: 2 } as const;

test("rs bears m losses, replica n − 1, and no more", () => {
  expect(decodable(rs, new Set([0, 5]))).toBe(true);
  expect(decodable(rs, new Set([0, 1, 5]))).toBe(false);
  expect([0, 1, 2, 3].map((n) => spareOf(rs, new Set([...Array(n).keys()])))).toEqual([2, 1, 0, -1]);
  expect(decodable({ family: "replica", n: 3 }, new Set([0, 1]))).toBe(true);
  expect(decodable({ family: "replica", n: 3 }, new Set([0, 1, 2]))).toBe(false);
});

test("lrc: any g + 1 losses, more when local groups mend their own, and never a promise it can't keep", () => {
  expect(decodable(lrc, new Set([0, 1, 2]))).toBe(true);
  expect(decodable(lrc, new Set([0, 3, 8, 9]))).toBe(true);
  expect(spareOf(lrc, new Set([0, 3, 8, 9]))).toBe(0);
  expect(decodable(lrc, new Set([0, 1, 2, 6]))).toBe(false);
  expect(decodable(lrc, new Set([0, 1, 3, 8, 9]))).toBe(false);
});
