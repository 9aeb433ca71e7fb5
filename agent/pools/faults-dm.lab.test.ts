/**
 * The agent's pool on a device that fails under load in every way device-mapper knows: no acknowledged chunk is lost, no wrong byte is given,
 * the state says what is the matter, and the pool comes back when the device does.
 * lab: machine=bare timeoutSeconds=1200
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { askHost, command } from "@couchestor/common/testing/lab.ts";
import { type Codes, FaultLoad } from "./testing/fault-load.ts";
import { diskBySerial, type LabPool, labPool, MappedDevice } from "./testing/lab-pool.ts";

let under = "";
let device: MappedDevice;
let pool: LabPool;
let load: FaultLoad;
let made = 0;

const pause = () => systemClock.sleep(5);
const failures = (codes: Codes) => Object.entries(codes).reduce((sum, [code, n]) => (code === "ok" ? sum : sum + n), 0);

beforeEach(async () => {
  made++;
  await askHost({ verb: "plug", disk: `disk${made}`, kind: "scsi", serial: `FAULT-${made}`, sizeMiB: 1024 });
  under = await diskBySerial(`FAULT-${made}`);
  device = new MappedDevice(`fault${made}`, under);
  pool = await labPool(device.path);
  load = new FaultLoad();
  await load.putSome(pool.store(), 30);
});

afterEach(async () => {
  await pool[Symbol.asyncDispose]();
  device[Symbol.dispose]();
  await askHost({ verb: "unplug", device: `disk${made}` });
});

/** Puts under way when the table changes, and goes on until `failed` puts have failed. */
async function failUnderLoad(table: string, failed = 12): Promise<Codes> {
  let changed = false;
  const from = load.acknowledged.length;
  const running = load.run(
    () => {
      if (!changed && load.acknowledged.length >= from + 10) {
        changed = true;
        device.become(table);
      }
      return pool.store();
    },
    (codes) => failures(codes) >= failed,
    pause,
  );
  return await running;
}

async function comesBackWhole(): Promise<void> {
  device.become(device.linear);
  const store = await pool.recover();
  expect((await load.audit(store)).violations).toEqual([]);
  await load.putSome(store, 10);
  const after = await load.audit(store);
  expect(after.violations).toEqual([]);
  expect(after.intact).toBe(load.acknowledged.length);
}

test("a device that answers every request with an error: nothing is acknowledged, reads are errors and never absent", async () => {
  const codes = await failUnderLoad(`0 ${device.sectors} error`);
  expect(Object.keys(codes).sort()).toEqual(["ReadOnly", "ok"]);
  expect(pool.state().state).toBe("ReadOnly");
  expect(pool.state().reason).toContain("EIO");
  const during = await load.audit(pool.store(), ["Unavailable"]);
  expect(during.violations).toEqual([]);
  expect(during.errors["Unavailable"]).toBeGreaterThan(30);
  await comesBackWhole();
});

test("a device that refuses writes alone: reads go on, all of them right", async () => {
  const codes = await failUnderLoad(`0 ${device.sectors} flakey ${under} 0 0 3600 1 error_writes`);
  expect(Object.keys(codes).sort()).toEqual(["ReadOnly", "ok"]);
  const during = await load.audit(pool.store());
  expect(during.violations).toEqual([]);
  expect(during.intact).toBe(load.acknowledged.length);
  await comesBackWhole();
});

test("a device that takes writes and forgets them: what was not kept was never acknowledged", async () => {
  const codes = await failUnderLoad(`0 ${device.sectors} flakey ${under} 0 0 3600 1 drop_writes`);
  expect(codes["ChunkCorrupt"]).toBeGreaterThan(0);
  expect(pool.state().state).toBe("ReadOnly");
  expect((await load.audit(pool.store())).violations).toEqual([]);
  await comesBackWhole();
});

test("a device that changes a byte of what it writes: the chunk is not acknowledged, and no reader ever gets it", async () => {
  const codes = await failUnderLoad(`0 ${device.sectors} flakey ${under} 0 0 3600 5 corrupt_bio_byte 100 w 77 0`);
  expect(codes["ChunkCorrupt"]).toBeGreaterThan(0);
  expect((await load.audit(pool.store())).violations).toEqual([]);
  await comesBackWhole();
});

test("a device that comes and goes: what was acknowledged in its good moments is there in the end", async () => {
  device.become(`0 ${device.sectors} flakey ${under} 0 4 1`);
  let retried = 0;
  const codes = await load.run(
    () => pool.store(),
    // However slow the machine is, and however its clock jumps: until it has failed and come back at least twice, with chunks
    // acknowledged in between. A pool that never comes back ends by retries, and a device that never fails by chunks.
    (seen) => ((seen["ok"] ?? 0) > 20 && retried > 12) || retried > 3_000 || (seen["ok"] ?? 0) > 5_000,
    async () => {
      retried++;
      await systemClock.sleep(50);
      await pool.registry.maintain();
    },
  );
  expect(retried).toBeGreaterThan(12);
  expect(codes["ok"] ?? 0).toBeGreaterThan(20);
  await comesBackWhole();
});

test("a device that takes 300 ms for each request is slow, not failed, and holds up nothing else", async () => {
  const delays = `0 ${device.sectors} delay ${under} 0 300`;
  device.become(delays);
  const lagsMs: number[] = [];
  let measuring = true;
  const lag = (async () => {
    while (measuring) {
      const from = systemClock.monotonicMs();
      await systemClock.sleep(10);
      lagsMs.push(systemClock.monotonicMs() - from - 10);
    }
  })();
  const from = systemClock.monotonicMs();
  await load.putSome(pool.store(), 12);
  const tookMs = systemClock.monotonicMs() - from;
  measuring = false;
  await lag;
  // A write, a flush and a read back, one behind the other.
  expect(tookMs).toBeGreaterThan(600);
  // If the event loop waited for the device, it would do so for one request or more at a time. Once it may stand still by itself: the
  // clock of an emulated machine on a busy host may jump.
  expect(lagsMs.toSorted((a, b) => a - b)[lagsMs.length >> 1]).toBeLessThan(250);
  expect(pool.state().state).toBe("Online");
  device.become(device.linear);
  expect((await load.audit(pool.store())).violations).toEqual([]);
});

test("a device that stops answering for seconds and then goes on: the puts wait, and are right", async () => {
  command("dmsetup", "suspend", "--nolockfs", "--noflush", "--noudevsync", device.path);
  let ended = false;
  const puts = load.putSome(pool.store(), 8).finally(() => {
    ended = true;
  });
  await systemClock.sleep(3_000);
  expect(ended).toBe(false);
  command("dmsetup", "resume", "--noudevsync", device.path);
  await puts;
  expect((await load.audit(pool.store())).violations).toEqual([]);
});
