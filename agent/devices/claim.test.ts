/** Claiming and releasing: what is refused, what is kept through a power cut at any moment, and who wins when two want one disk. */
import { describe, expect, test } from "bun:test";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { typescriptChecksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import { encodeSegmentHeader } from "../store/segment-format.ts";
import { claim } from "./claim.ts";
import { planClaim, planRelease } from "./claim-plan.ts";
import { release } from "./release.ts";
import { FakeDisk } from "./testing/fake-disk.ts";
import { clusterA, clusterB, Machine, machineWithDisk, mib, order, poolUuid } from "./testing/machine.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

async function refusal(run: () => Promise<unknown> | unknown): Promise<string> {
  try {
    await run();
    return "done";
  } catch (error) {
    if (error instanceof AppError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

/** Looks, plans and carries out, as the command line does. */
async function claimNow(machine: Machine, more: Parameters<typeof order>[0] = {}, name = "sda", uuid = poolUuid) {
  const device = await machine.device(name);
  const wanted = order(more);
  await claim(machine.parts(), device, planClaim(device, wanted, uuid), { wipe: wanted.wipe });
}

async function releaseNow(machine: Machine, destroyData = false, dryRun = false): Promise<number> {
  const device = await machine.device("sda");
  return release(machine.parts(), device, planRelease(device), { dryRun, destroyData });
}

describe("claiming", () => {
  test("a blank disk carries the label, also under another name; again changes nothing", async () => {
    const { machine, disk } = machineWithDisk();
    expect((await machine.device("sda")).inUse).toEqual([]);
    await claimNow(machine, { clusterUuid: clusterA });
    const label = { poolUuid, poolName: "fast", nodeName: "n1", clusterUuid: clusterA, kind: "block" as const };
    expect((await machine.device("sda")).label).toEqual(label);
    machine.unplug("sda");
    machine.plug("sdk", disk);
    const moved = await machine.device("sdk");
    expect(moved).toMatchObject({ label, inUse: [{ kind: "ours", what: "pool" }] });
    const { writes } = disk;
    expect(planClaim(moved, order({ clusterUuid: clusterA }), zeroUuid).action).toBe("none");
    await claimNow(machine, {}, "sdk");
    expect(disk.writes).toBe(writes);
  });

  test("a dry run, and looking, write nothing", async () => {
    const { machine, disk } = machineWithDisk();
    const plan = planClaim(await machine.device("sda"), order(), poolUuid);
    expect(plan).toMatchObject({ action: "format", erases: [] });
    expect(plan.steps.at(-1)).toContain("read the label back");
    expect(disk.writes).toBe(0);
  });

  test("what others use is refused whatever is asked; content is refused without --wipe and named", async () => {
    const { machine, disk } = machineWithDisk();
    disk.put(0x438, Uint8Array.of(0x53, 0xef));
    disk.put(0x478, text("photos"));
    const plain = await refusal(() => claimNow(machine));
    expect(plain).toContain(
      'FailedPrecondition: device wwn-0x5000c50000000061: it holds an ext2, ext3 or ext4 file system labelled "photos"',
    );
    expect(plain).toContain("--wipe");
    machine.tree.set("/proc/self/mountinfo", "30 1 8:1552 / /srv rw - ext4 /dev/sda rw\n");
    expect(await refusal(() => claimNow(machine, { wipe: true }))).toContain(
      "is in use and can't be claimed: /dev/sda is mounted at /srv",
    );
    expect(disk.writes).toBe(0);
    machine.tree.set("/proc/self/mountinfo", "");
    await claimNow(machine, { wipe: true });
    expect((await machine.device("sda")).label?.poolName).toBe("fast");
  });

  test("data that only begins behind the first MiB is found before anything is written", async () => {
    const { machine, disk } = machineWithDisk();
    disk.put(mib + 64 * mib, text("somebody's"));
    expect(await refusal(() => claimNow(machine))).toContain(`there is data at ${65 * mib}`);
    expect(disk.writes).toBe(0);
    await claimNow(machine, { wipe: true });
    const header = new Uint8Array(4096);
    disk.read(header, 65 * mib);
    expect(header.every((byte) => byte === 0)).toBe(true);
  });

  test("a label of another cluster is refused, and stays", async () => {
    const { machine, disk } = machineWithDisk();
    await claimNow(machine, { clusterUuid: clusterA });
    const { writes } = disk;
    for (const more of [{}, { wipe: true }, { move: true }]) {
      const why = await refusal(() => claimNow(machine, { clusterUuid: clusterB, ...more }));
      expect(why).toStartWith("WrongCluster: device wwn-0x5000c50000000061 carries pool fast");
    }
    expect(disk.writes).toBe(writes);
  });

  test("a pool is taken over by another node only when told to, and keeps its uuid", async () => {
    const { machine } = machineWithDisk();
    await claimNow(machine);
    expect(await refusal(() => claimNow(machine, { nodeName: "n2" }))).toContain("Conflict: ");
    await claimNow(machine, { nodeName: "n2", move: true });
    expect((await machine.device("sda")).label).toMatchObject({ nodeName: "n2", poolUuid });
  });

  test("a disk that was swapped, changed, opened or pulled out since it was looked at is refused", async () => {
    const { machine, disk } = machineWithDisk();
    const device = await machine.device("sda");
    const go = () => claim(machine.parts(), device, planClaim(device, order(), poolUuid), { wipe: false });
    machine.nodes.set("/dev/sda", new FakeDisk(300 * mib), "8:99");
    expect(await refusal(go)).toContain("is not as it was when it was looked at");
    machine.nodes.set("/dev/sda", disk, device.deviceNumber);
    disk.put(0, text("XFSB"));
    expect(await refusal(go)).toContain("is not as it was when it was looked at");
    disk.put(0, new Uint8Array(4));
    machine.openers = ["io-engine (pid 7)"];
    expect(await refusal(go)).toContain("is open in io-engine (pid 7)");
    machine.openers = [];
    machine.nodes.busy.add(disk);
    expect(await refusal(go)).toStartWith("Conflict: device wwn-0x5000c50000000061: another process has /dev/sda open");
    machine.nodes.busy.clear();
    disk.gone = true;
    expect(await refusal(go)).toStartWith("Unavailable: ");
    machine.unplug("sda");
    expect(await refusal(go)).toContain("/dev/sda is gone");
    expect(disk.writes).toBe(0);
  });

  test("an agent that has a disk open for a moment, to look at it, is waited for", async () => {
    const { machine } = machineWithDisk();
    const device = await machine.device("sda");
    machine.openers = ["couchestor (pid 8)"];
    machine.pause = async () => void machine.openers.splice(0);
    await claim(machine.parts(), device, planClaim(device, order(), poolUuid), { wipe: false });
    expect((await machine.device("sda")).label).toMatchObject({ poolUuid });
  });

  test("a twin in the same slot, with the same name, number and size, is not erased for it", async () => {
    const { machine, disk } = machineWithDisk();
    const device = await machine.device("sda");
    const twin = new FakeDisk(disk.sizeBytes);
    twin.put(0, text("XFSB"));
    machine.unplug("sda");
    machine.plug("sda", twin, { wwid: "naa.5000c500000000ff" });
    const wiped = claim(machine.parts(), device, planClaim(device, order(), poolUuid), { wipe: true });
    expect(await refusal(() => wiped)).toContain("is not as it was when it was looked at");
    expect(twin.writes).toBe(0);
  });

  test("two at once on one machine: one gets it; two machines with one disk: the one whose label is gone is told", async () => {
    const { machine, disk } = machineWithDisk();
    const device = await machine.device("sda");
    const both = ["22222222-2222-4222-8222-222222222222", poolUuid].map((uuid) =>
      refusal(() => claim(machine.parts(), device, planClaim(device, order(), uuid), { wipe: false })),
    );
    const outcomes = await Promise.all(both);
    expect(outcomes.filter((outcome) => outcome === "done").length).toBe(1);
    expect(outcomes.find((outcome) => outcome !== "done")).toStartWith("Conflict: ");

    const shared = new FakeDisk(disk.sizeBytes);
    const [one, two] = [new Machine(), new Machine()];
    for (const each of [one, two]) each.plug("sda", shared);
    const seenByTwo = await two.device("sda");
    // While the first waits to read back, the second, which looked before, writes its own.
    one.pause = async () => {
      shared.put(0, new Uint8Array(4096));
      shared.put(shared.sizeBytes - 4096, new Uint8Array(4096));
      const plan = planClaim(seenByTwo, order({ nodeName: "n2" }), "22222222-2222-4222-8222-222222222222");
      await claim(two.parts(), seenByTwo, plan, { wipe: false });
    };
    expect(await refusal(() => claimNow(one))).toContain("another machine claims it too");
    expect((await two.device("sda")).label?.nodeName).toBe("n2");
  });

  test("somebody who only looks for a moment whether the disk is busy does not make a claim fail", async () => {
    const { machine, disk } = machineWithDisk();
    const device = await machine.device("sda");
    machine.nodes.busy.add(disk);
    machine.pause = async () => machine.nodes.busy.clear();
    await claim(machine.parts(), device, planClaim(device, order(), poolUuid), { wipe: false });
    expect((await machine.device("sda")).label?.poolUuid).toBe(poolUuid);
  });

  test("a disk that keeps nothing of what it says it wrote is found out", async () => {
    const { machine, disk } = machineWithDisk();
    disk.forgetful = true;
    expect(await refusal(() => claimNow(machine))).toContain("doesn't keep what is written");
  });
});

describe("power cuts", () => {
  const seed = Number(process.env["COUCHESTOR_SEED"] ?? 47);

  test(`at any write of a claim the disk is unclaimed or wholly claimed, and claiming again ends it (seed ${seed})`, async () => {
    const prng = seededPrng(seed);
    const total = await writesOf((machine) => claimNow(machine, { wipe: true }), ext4);
    // All at the end, where the label is written; of the erasing before, every 151st.
    const points = Array.from({ length: total }, (_, i) => i).filter((i) => i % 151 === 0 || i > total - 8);
    expect(points.length).toBeGreaterThan(10);
    for (const point of points) {
      const { machine, disk } = machineWithDisk();
      ext4(disk);
      await cutAt(disk, point, () => claimNow(machine, { wipe: true }));
      disk.powerCut(() => (["whole", "half", "none"] as const)[prng.below(3)] ?? "none");
      machine.nodes.busy.clear();
      const after = await machine.device("sda");
      if (after.label !== undefined) expect(after.label).toMatchObject({ poolUuid, poolName: "fast" });
      await claimNow(machine, { wipe: true }, "sda", after.label?.poolUuid ?? poolUuid);
      expect((await machine.device("sda")).label?.poolUuid).toBe(poolUuid);
    }
  }, 180_000);

  test("at any write of a release the label is whole or gone, and releasing again ends it", async () => {
    const prepare = async () => {
      const made = machineWithDisk();
      await claimNow(made.machine);
      return made;
    };
    const { machine: counted, disk: countedDisk } = await prepare();
    const before = steps(countedDisk);
    await releaseNow(counted);
    for (let point = 0; point < before.count(); point++) {
      const { machine, disk } = await prepare();
      await cutAt(disk, point, () => releaseNow(machine));
      disk.powerCut((index) => (index % 2 === 0 ? "half" : "none"));
      machine.nodes.busy.clear();
      if ((await machine.device("sda")).label !== undefined) await releaseNow(machine);
      expect((await machine.device("sda")).label).toBeUndefined();
    }
  }, 180_000);

  function ext4(disk: FakeDisk): void {
    disk.put(0x438, Uint8Array.of(0x53, 0xef));
  }

  async function writesOf(run: (machine: Machine) => Promise<unknown>, prepare: (disk: FakeDisk) => void) {
    const { machine, disk } = machineWithDisk();
    prepare(disk);
    const counter = steps(disk);
    await run(machine);
    return counter.count();
  }

  /** Counts writes of blocks and syncs from now on. */
  function steps(disk: FakeDisk): { count(): number } {
    let seen = 0;
    disk.onWrite = () => void seen++;
    return { count: () => seen };
  }

  /** Runs until the power goes at step `point`. */
  async function cutAt(disk: FakeDisk, point: number, run: () => Promise<unknown>): Promise<void> {
    let seen = 0;
    disk.onWrite = () => {
      if (seen++ >= point) throw new Error("power cut");
    };
    expect(await run().then(() => "done", String)).toContain("power cut");
  }
});

describe("releasing", () => {
  test("an empty pool goes, and the disk is free again; one with chunks stays unless they may be destroyed", async () => {
    const { machine, disk } = machineWithDisk();
    await claimNow(machine);
    putSegment(disk);
    const { writes } = disk;
    expect(await releaseNow(machine, false, true)).toBe(1);
    expect(await refusal(() => releaseNow(machine))).toContain("holds 1 segments of chunks");
    expect(disk.writes).toBe(writes);
    expect(await releaseNow(machine, true)).toBe(1);
    expect((await machine.device("sda")).inUse).toEqual([]);
    await claimNow(machine);
  });

  test("a disk that keeps its label although it says that it was overwritten is not called released", async () => {
    const { machine, disk } = machineWithDisk();
    await claimNow(machine);
    disk.forgetful = true;
    expect(await refusal(() => releaseNow(machine))).toContain(`it still carries pool fast (${poolUuid})`);
    disk.forgetful = false;
    expect(await releaseNow(machine)).toBe(0);
  });

  test("a place that can't be read counts as chunks, since it may hold some", async () => {
    const { machine, disk } = machineWithDisk();
    await claimNow(machine);
    disk.unreadable.add(mib);
    expect(await releaseNow(machine, false, true)).toBe(1);
    expect(await refusal(() => releaseNow(machine))).toContain("holds 1 segments of chunks");
    expect((await machine.device("sda")).label?.poolUuid).toBe(poolUuid);
  });

  test("what is not ours, or open in an agent, is not released", async () => {
    const { machine, disk } = machineWithDisk();
    expect(await refusal(() => releaseNow(machine))).toContain("carries no label of ours");
    await claimNow(machine);
    machine.nodes.busy.add(disk);
    expect(await refusal(() => releaseNow(machine, true))).toContain("another process has /dev/sda open");
  });

  /** A segment of the pool, as the store begins one. */
  function putSegment(disk: FakeDisk): void {
    const header = { poolUuid, segmentId: 1, createdMs: 0, targetBytes: 64 * mib };
    disk.put(mib, encodeSegmentHeader(header, typescriptChecksum));
  }
});
