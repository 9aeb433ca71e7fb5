import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { embeddable, embedLibraries } from "../embedded/build-plugin.ts";
import { isalLibrary, isalVersion, isFastVersion, loadIsal } from "../isal/isal.ts";
import { lz4Library } from "../lz4/native-lz4.ts";
import { errnoName } from "./errno.ts";
import {
  findLibrary,
  type LibraryCandidate,
  type LibraryName,
  loadLibrary,
  openFromMemory,
  preferredFirst,
} from "./load.ts";
import { addressOf, alignedBytes, cString } from "./memory.ts";

const crc32 = { crc32_iscsi: { args: ["ptr", "i32", "u32"], returns: "u32" } } as const;
const real = findLibrary(isalLibrary, {}).candidates[0];
const realLz4 = findLibrary(lz4Library, {}).candidates[0];
const absent: LibraryName = {
  name: "libabsent",
  sonames: ["libabsent.so.7"],
  environmentVariable: "COUCHESTOR_LIBABSENT",
};

function withEnvironment(name: string, value: string, run: () => void): void {
  const before = process.env[name];
  process.env[name] = value;
  try {
    run();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "couchestor-load-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("loader", () => {
  test("offers only absolute paths, the environment's first", () => {
    const chosen = join(folder, "libisal.so.2.0.30");
    writeFileSync(chosen, "not a library");
    const { candidates } = findLibrary(isalLibrary, { COUCHESTOR_LIBISAL: chosen });
    expect(candidates[0]).toEqual({ origin: "environment", path: chosen, version: "2.0.30" });
    for (const { path } of candidates) expect(path.startsWith("/")).toBe(true);
  });
  test("refuses a relative path and an absent file by name", () => {
    expect(findLibrary(absent, { COUCHESTOR_LIBABSENT: "libabsent.so.7" }).notes).toEqual([
      'COUCHESTOR_LIBABSENT: got "libabsent.so.7"; allowed: an absolute path',
    ]);
    expect(findLibrary(absent, { COUCHESTOR_LIBABSENT: "/nowhere/x.so" }).notes).toEqual([
      "COUCHESTOR_LIBABSENT: /nowhere/x.so does not exist",
    ]);
  });
  test("a library that is nowhere is an answer with a reason", () => {
    expect(loadLibrary(absent, {})).toEqual({
      library: undefined,
      notes: ["libabsent is not installed, unpacked or embedded"],
    });
  });
  test("a file that is no library is passed over with a reason, and the next one is taken", () => {
    const broken = join(folder, "broken.so");
    writeFileSync(broken, "not a library");
    withEnvironment("COUCHESTOR_LIBISAL", broken, () => {
      const { library, notes } = loadLibrary(isalLibrary, crc32);
      expect(notes[0]).toContain(`${broken} could not be opened`);
      if (real) expect(library?.path).toBe(real.path);
    });
  });
  test.skipIf(!real)("opens a library from memory, as the compiled program does", () => {
    const { crc32_iscsi } = openFromMemory("libisal", readFileSync(real?.path ?? ""), crc32);
    expect(~crc32_iscsi(Buffer.from("123456789"), 9, 0xffffffff) >>> 0).toBe(0xe3069283);
    expect(() => openFromMemory("broken", Buffer.from("not a library"), crc32)).toThrow();
  });
  test.skipIf(!real || !realLz4)("two libraries from memory are two libraries", () => {
    const first = openFromMemory("libisal", readFileSync(real?.path ?? ""), crc32);
    const second = openFromMemory("liblz4", readFileSync(realLz4?.path ?? ""), {
      LZ4_versionNumber: { args: [], returns: "i32" },
    });
    expect(second.LZ4_versionNumber()).toBeGreaterThan(10_000);
    expect(first.crc32_iscsi(Buffer.from("1"), 1, 0)).toBeGreaterThan(0);
  });
  test.skipIf(!real)("takes what there is if nothing is what it would prefer", () => {
    expect(loadLibrary(isalLibrary, crc32, () => false).library?.path).toBe(
      findLibrary(isalLibrary).candidates[0]?.path,
    );
  });
});

describe("versions of ISA-L", () => {
  test("an embedded fast one goes before an installed slow one, and what the environment names before both", () => {
    const candidate = (origin: LibraryCandidate["origin"], version: string): LibraryCandidate => ({
      origin,
      path: `/${origin}`,
      version,
    });
    const all = [
      candidate("environment", "2.0.29"),
      candidate("system", "2.0.30"),
      candidate("embedded", "2.31.1-1.1"),
    ];
    const order = preferredFirst(all, ({ version }) => isFastVersion(isalVersion(version)));
    expect(order.map(({ origin }) => origin)).toEqual(["environment", "embedded", "system"]);
  });
  test.skipIf(!real)("a slow one is used if it is named, and a note says that it is slow", () => {
    const old = join(folder, "libisal.so.2.0.30");
    copyFileSync(real?.path ?? "", old);
    withEnvironment("COUCHESTOR_LIBISAL", old, () => {
      const { isal, notes } = loadIsal();
      expect(isal?.codec.description).toBe("isa-l 2.30");
      expect(notes.join()).toContain("isa-l 2.30 from");
      expect(notes.join()).toContain("older than 2.31");
    });
  });
  test("are read from file names and from packages", () => {
    expect(isalVersion("2.0.31")).toBe("2.31");
    expect(isalVersion("2.31.1-1.1")).toBe("2.31.1");
    expect(isalVersion("2.30.0-5+b1")).toBe("2.30.0");
    expect(isalVersion(undefined)).toBeUndefined();
  });
  test("from 2.31 on are the fast ones", () => {
    expect(["2.31", "2.31.1", "2.40", "3.0"].every(isFastVersion)).toBe(true);
    expect(["2.30", "2.30.0", "1.99", "", undefined].some(isFastVersion)).toBe(false);
  });
});

describe("embedding", () => {
  test("takes the libraries of the target that were fetched, with their versions, and none where none were", () => {
    expect(embeddable("arm64", folder)).toEqual([]);
    const deps = join(folder, "deps");
    Bun.spawnSync(["mkdir", "-p", join(deps, "arm64")]);
    writeFileSync(join(deps, "arm64", "versions.json"), '{ "libisal": "2.31.1-1.1", "liblz4": "1.10.0-4" }');
    writeFileSync(join(deps, "arm64", "libisal.so.2"), "x");
    expect(embeddable("arm64", deps)).toEqual([
      { name: "libisal", version: "2.31.1-1.1", file: join(deps, "arm64", "libisal.so.2") },
    ]);
    expect(embedLibraries("arm64", deps).name).toBe("embed-native-libraries");
  });
});

describe("memory and errno", () => {
  test("aligned memory is aligned, zeroed and of the length asked for", () => {
    for (const alignment of [64, 512, 4096, 65_536]) {
      const bytes = alignedBytes(1000, alignment);
      expect(addressOf(bytes) % alignment).toBe(0);
      expect(bytes).toEqual(new Uint8Array(1000));
    }
  });
  test("what has no address or cannot be a C string is refused", () => {
    expect(() => addressOf(new Uint8Array(0))).toThrow("no address");
    expect(() => cString("a\0b")).toThrow("NUL");
    expect([...cString("ab")]).toEqual([97, 98, 0]);
  });
  test("error numbers have their names", () => {
    expect([2, 5, 28, 30, 4095].map(errnoName)).toEqual(["ENOENT", "EIO", "ENOSPC", "EROFS", "errno 4095"]);
  });
});
