/** What lies on a device is recognized by the bytes that each format documents; whatever is not zeros is somebody's data. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { contentOf, type Ends, isZero, lookBytes } from "./content.ts";
import { signatures } from "./signatures.ts";

const sizeBytes = 8 * lookBytes;

function blank(): Ends {
  return { head: new Uint8Array(lookBytes), tail: new Uint8Array(lookBytes), sizeBytes };
}

function put(ends: Ends, at: number, mark: string): Ends {
  const bytes = Buffer.from(mark, "latin1");
  if (at >= 0) ends.head.set(bytes, at);
  else ends.tail.set(bytes, lookBytes + at);
  return ends;
}

const whats = (ends: Ends) => contentOf(ends).map(({ what }) => what);

describe("content", () => {
  test("zeros are nothing, one byte anywhere in the ends is something", () => {
    expect(contentOf(blank())).toEqual([]);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: lookBytes - 1 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 255 }),
        (at, first, byte) => {
          const ends = blank();
          (first ? ends.head : ends.tail)[at] = byte;
          return contentOf(ends).length > 0 && contentOf(ends).every(({ kind }) => kind === "content");
        },
      ),
      { numRuns: 30 },
    );
    expect(contentOf(put(blank(), 77, "hello"))[0]?.detail).toBe("its first MiB holds data of no format known here");
    expect(contentOf(put(blank(), -77, "hello"))[0]?.detail).toBe("its last MiB holds data of no format known here");
  });

  test("every signature is found at every place it may be at", () => {
    for (const { what, mark, at } of signatures) {
      for (const place of at) expect([what, place, whats(put(blank(), place, mark))]).toEqual([what, place, [what]]);
    }
  });

  test("superblocks of old Linux RAID formats at the end, wherever the size puts them", () => {
    const mark = "\xfc\x4e\x2b\xa9";
    for (const odd of [0, 512, 4096, 100 * 512, 65_536 - 512]) {
      const size = sizeBytes + odd;
      const old = Math.floor(size / 65_536) * 65_536 - 65_536 - size;
      const one = Math.floor((Math.floor(size / 512) - 16) / 8) * 8 * 512 - size;
      for (const at of [old, one]) expect(whats(put({ ...blank(), sizeBytes: size }, at, mark))).toEqual(["raid"]);
    }
  });

  test("a boot sector without partitions is no partition table; one with an entry is", () => {
    const boot = put(put(blank(), 510, "\x55\xaa"), 3, "NTFS    ");
    expect(whats(boot)).toEqual(["ntfs"]);
    const table = put(put(blank(), 510, "\x55\xaa"), 446, "\x80\0\0\0\x83\0\0\0\0\x08\0\0\0\0\x10\0");
    expect(whats(table)).toEqual(["mbr"]);
    expect(whats(put(blank(), 510, "\x55\xaa"))).toEqual(["data"]);
  });

  test("ZFS members are known by any of their uberblocks, in either byte order", () => {
    expect(whats(put(blank(), 131_072 + 5 * 1024, "\x0c\xb1\xba\0\0\0\0\0"))).toEqual(["zfs"]);
    expect(whats(put(blank(), 262_144 + 131_072, "\0\0\0\0\0\xba\xb1\x0c"))).toEqual(["zfs"]);
  });

  test("a label is shown only if it is text", () => {
    const labelled = (label: string) => contentOf(put(put(blank(), 0, "XFSB"), 108, label))[0]?.detail;
    expect(labelled("backup")).toBe('it holds an XFS file system labelled "backup"');
    expect(labelled("\x01\x02")).toBe("it holds an XFS file system");
  });

  test("isZero sees every byte, whatever the alignment", () => {
    const memory = new Uint8Array(64);
    for (let from = 0; from < 9; from++) {
      for (let at = from; at < 40; at++) {
        memory.fill(0);
        expect(isZero(memory.subarray(from, 40))).toBe(true);
        memory[at] = 1;
        expect(isZero(memory.subarray(from, 40))).toBe(false);
      }
    }
  });
});
