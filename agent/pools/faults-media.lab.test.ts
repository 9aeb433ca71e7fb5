/**
 * Sectors that can't be read and flushes that fail: what lies elsewhere is served, what is hurt is an error and never absent or wrong, and it can
 * be put again.
 * lab: machine=bare timeoutSeconds=1200 memoryMiB=3072
 */
import { expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { askHost, command, until } from "@couchestor/common/testing/lab.ts";
import { keyOf, type TestChunk } from "../store/testing/fixture.ts";
import { codeOf, FaultLoad } from "./testing/fault-load.ts";
import { diskBySerial, type LabPool, labPool } from "./testing/lab-pool.ts";

const sectorBytes = 512;
const mebibyte = 1 << 20;

/** Where on the device these bytes lie. */
function find(device: string, bytes: Uint8Array): number {
  const fd = openSync(device, "r");
  try {
    const start = Buffer.alloc(48 * mebibyte);
    readSync(fd, start, 0, start.byteLength, 0);
    const at = start.indexOf(bytes);
    if (at < 0) throw new Error("the chunk's bytes are nowhere at the beginning of the device");
    return at;
  } finally {
    closeSync(fd);
  }
}

/** scsi_debug's own disk, whose sectors go bad at the word of its driver. */
class DebugDisk {
  device = "";

  async begin(): Promise<string> {
    command("modprobe", "scsi_debug", "dev_size_mb=600", "delay=0");
    const isOurs = (name: string) =>
      /^sd/.test(name) && readFileSync(`/sys/block/${name}/device/model`, "utf8").includes("scsi_debug");
    const name = await until(async () => readdirSync("/sys/block").find(isOurs), 120_000, "no disk of scsi_debug");
    this.device = `/dev/${name}`;
    return this.device;
  }

  bad(offsetBytes: number, lengthBytes: number): void {
    const parameters = "/sys/module/scsi_debug/parameters";
    writeFileSync(`${parameters}/medium_error_start`, String(offsetBytes / sectorBytes));
    writeFileSync(`${parameters}/medium_error_count`, String(lengthBytes / sectorBytes));
    writeFileSync("/sys/bus/pseudo/drivers/scsi_debug/opts", "0x2");
  }

  good(): void {
    writeFileSync("/sys/bus/pseudo/drivers/scsi_debug/opts", "0x0");
  }
}

async function others(load: FaultLoad, pool: LabPool, hurt: TestChunk): Promise<void> {
  const audit = await load.audit(pool.store(), ["Unavailable", "ChunkCorrupt"]);
  expect(audit.violations).toEqual([]);
  expect(audit.intact).toBe(load.acknowledged.length - 1);
  expect((await pool.store().verify(keyOf(hurt.name))).state).not.toBe("absent");
}

test("bad sectors of a SCSI disk: in a chunk, in a record's header, in a segment's header and in the superblock", async () => {
  const disk = new DebugDisk();
  const device = await disk.begin();
  const load = new FaultLoad();
  let pool = await labPool(device);
  await load.putSome(pool.store(), 40);
  const hurt = load.acknowledged.find(({ data }) => data.byteLength > 64 * 1024) as TestChunk;
  const at = find(device, hurt.data.subarray(0, 4096));

  disk.bad(at + 8192, 4096);
  expect(await codeOf(await failureOf(pool.store().get(keyOf(hurt.name), 0, 16)))).toBe("Unavailable");
  expect((await pool.store().get(keyOf(hurt.name), 0, 2)).bytes.byteLength).toBe(8192);
  await others(load, pool, hurt);

  // The agent starts anew with the bad sector there.
  const reopen = async () => {
    await pool[Symbol.asyncDispose]();
    pool = await labPool(device);
  };
  await reopen();
  await others(load, pool, hurt);
  // Put again, it is written elsewhere.
  expect((await pool.store().put(hurt.image)).alreadyThere).toBe(false);
  expect((await load.audit(pool.store())).violations).toEqual([]);

  // The first header of the first segment, and the first superblock, which has a copy.
  for (const offset of [mebibyte, 0]) {
    disk.bad(offset, 4096);
    await reopen();
    expect([offset, (await load.audit(pool.store())).violations]).toEqual([offset, []]);
  }
  disk.good();
  await reopen();
  const after = await load.audit(pool.store());
  expect(after.violations).toEqual([]);
  expect(after.intact).toBe(load.acknowledged.length);
  await pool[Symbol.asyncDispose]();
  command("rmmod", "scsi_debug");
});

test("a bad sector of an NVMe disk", async () => {
  const plug = { verb: "plug", disk: "nv", kind: "nvme", serial: "BADNVME", sizeMiB: 1024 } as const;
  await askHost(plug);
  const load = new FaultLoad();
  let device = await diskBySerial("BADNVME");
  let pool = await labPool(device);
  await load.putSome(pool.store(), 20);
  const hurt = load.acknowledged.find(({ data }) => data.byteLength > 32 * 1024) as TestChunk;
  const sector = (find(device, hurt.data.subarray(0, 4096)) + 4096) / sectorBytes;
  await pool[Symbol.asyncDispose]();
  await askHost({ verb: "unplug", device: "nv" });
  await askHost({ ...plug, faults: [{ operation: "read", sector }] });
  device = await diskBySerial("BADNVME");
  pool = await labPool(device);
  await others(load, pool, hurt);
  await pool[Symbol.asyncDispose]();
  await askHost({ verb: "unplug", device: "nv" });
});

test("a device whose flushes fail: it takes no pool and acknowledges no chunk; what was durable before is there", async () => {
  const plug = { verb: "plug", disk: "fl", kind: "scsi", serial: "NOFLUSH", sizeMiB: 1024 } as const;
  const again = async (faults: { operation: "flush" }[]) => {
    await askHost({ verb: "unplug", device: "fl" });
    await askHost({ ...plug, faults });
    return await diskBySerial("NOFLUSH");
  };
  await askHost({ ...plug, faults: [{ operation: "flush" }] });
  expect(String(await failureOf(labPool(await diskBySerial("NOFLUSH"))))).toContain("EIO");

  const load = new FaultLoad();
  let pool = await labPool(await again([]));
  await load.putSome(pool.store(), 10);
  await pool[Symbol.asyncDispose]();

  pool = await labPool(await again([{ operation: "flush" }]));
  const from = load.acknowledged.length;
  const codes = await load.run(
    () => pool.store(),
    (seen) => (seen["ReadOnly"] ?? 0) > 6,
    () => Promise.resolve(),
  );
  expect(codes["ok"]).toBeUndefined();
  expect(load.acknowledged.length).toBe(from);
  expect(pool.state()).toMatchObject({ state: "ReadOnly" });
  expect((await load.audit(pool.store())).violations).toEqual([]);
  await pool[Symbol.asyncDispose]();

  pool = await labPool(await again([]));
  expect((await load.audit(pool.store())).violations).toEqual([]);
  await load.putSome(pool.store(), 5);
  await pool[Symbol.asyncDispose]();
  await askHost({ verb: "unplug", device: "fl" });
});

/** The error of what must fail. */
async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error("it succeeded");
    },
    (error: unknown) => error,
  );
}
