/** Claiming and releasing disks with zones: the label is found wherever its zones are, and what is left of it is told. */
import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { typescriptChecksum as checksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import { openZonedMedium } from "../store/medium-zoned.ts";
import { claim } from "./claim.ts";
import { planClaim, planRelease } from "./claim-plan.ts";
import { release } from "./release.ts";
import { FakeZones } from "./testing/fake-zones.ts";
import { clusterA, Machine, order, poolUuid } from "./testing/machine.ts";
import { readZones } from "./zones-adapter.ts";

const otherUuid = "22222222-2222-4222-8222-222222222222";

function machineWithZones(more: ConstructorParameters<typeof FakeZones>[0] = {}) {
  const machine = new Machine();
  const zones = new FakeZones(more);
  machine.plugZoned("sda", zones);
  const claimNow = async (over: Parameters<typeof order>[0] = {}, uuid = poolUuid) => {
    const device = await machine.device("sda");
    await claim(machine.parts(), device, planClaim(device, order(over), uuid), { wipe: over.wipe ?? false });
  };
  const releaseNow = async (destroyData = false) => {
    const device = await machine.device("sda");
    return release(machine.parts(), device, planRelease(device), { dryRun: false, destroyData });
  };
  /** The pool's medium, as an agent has it open. */
  const opened = () =>
    openZonedMedium({ device: zones.opened(async () => undefined), checksum, path: "sda", fresh: () => unexpected() });
  return { machine, zones, claimNow, releaseNow, opened };
}

function unexpected(): never {
  throw new Error("a pool was made");
}

async function refusal(run: () => Promise<unknown>): Promise<string> {
  return run().then(
    () => "done",
    (error: unknown) => (error instanceof AppError ? `${error.code}: ${error.message}` : String(error)),
  );
}

describe("a disk with zones", () => {
  test("is claimed, known by its label, relabelled and released, whether conventional zones come first or not", async () => {
    for (const conventional of [0, 3]) {
      const { machine, claimNow, releaseNow } = machineWithZones({ conventional });
      expect((await machine.device("sda")).inUse).toEqual([]);
      await claimNow({ clusterUuid: clusterA });
      const label = { poolUuid, poolName: "fast", nodeName: "n1", clusterUuid: clusterA, kind: "zoned" as const };
      expect(await machine.device("sda")).toMatchObject({ label, inUse: [{ kind: "ours" }] });
      await claimNow({ nodeName: "n2", move: true });
      expect((await machine.device("sda")).label).toEqual({ ...label, nodeName: "n2" });
      expect(await releaseNow()).toBe(0);
      const free = await machine.device("sda");
      expect([free.label, free.inUse]).toEqual([undefined, []]);
    }
  });

  test("the newest label of a long log counts, and one that only the second zone still holds", async () => {
    const { machine, zones, claimNow, opened } = machineWithZones();
    await claimNow();
    const medium = await opened();
    // More than a zone takes, so that one is emptied on the way.
    for (let i = 0; i < 270; i++) await medium.writeSuperblock({ ...medium.superblock, nodeName: `n${i}` });
    expect((await machine.device("sda")).label?.nodeName).toBe("n269");
    await zones.opened(async () => undefined).reset(0);
    zones.disk.sync();
    expect((await machine.device("sda")).label?.nodeName).toBe("n269");
  });

  test("one that was claimed by somebody else since it was looked at is not emptied, --wipe or not", async () => {
    for (const wipe of [false, true]) {
      const { machine, zones, claimNow } = machineWithZones();
      const device = await machine.device("sda");
      const plan = planClaim(device, order({ wipe }), otherUuid);
      await claimNow();
      const { writes } = zones.disk;
      const late = await refusal(() => claim(machine.parts(), device, plan, { wipe }));
      expect(late).toContain("is not as it was when it was looked at");
      expect(zones.disk.writes).toBe(writes);
      expect((await machine.device("sda")).label?.poolUuid).toBe(poolUuid);
    }
  });

  test("released with a zone of the label that can't be emptied any more it says so, and that it is still known", async () => {
    const { machine, zones, claimNow, releaseNow } = machineWithZones();
    await claimNow();
    zones.giveUp(1, "read-only");
    expect(await refusal(() => releaseNow())).toContain(`it still carries pool fast (${poolUuid})`);
    expect((await machine.device("sda")).label?.poolUuid).toBe(poolUuid);
    // With both of them read-only the pool can still be opened and read.
    const both = machineWithZones();
    await both.claimNow();
    for (const zone of [0, 1]) both.zones.giveUp(zone, "read-only");
    expect((await both.opened()).superblock.poolUuid).toBe(poolUuid);
  });

  test("is in use by its written zones, whatever reads back from the others, and by what is in the conventional ones", async () => {
    const { machine, zones, claimNow } = machineWithZones({ conventional: 2 });
    zones.disk.put(11 * zones.zoneBytes, new Uint8Array(4096).fill(0xff));
    expect((await machine.device("sda")).inUse).toEqual([]);
    await zones.opened(async () => undefined).write(7, [new Uint8Array(4096)], 0);
    zones.disk.sync();
    const detail = "1 of its 12 zones are written";
    expect((await machine.device("sda")).inUse).toEqual([{ kind: "content", what: "data", detail }]);
    expect(await refusal(() => claimNow())).toContain(`${detail}. Give --wipe`);
    zones.disk.put(64, new TextEncoder().encode("hello"));
    expect((await machine.device("sda")).inUse[0]?.detail).toBe(detail);
    zones.disk.put(0, new TextEncoder().encode("XFSB"));
    expect((await machine.device("sda")).inUse[0]?.what).toBe("xfs");
    // One that has been given up is not read, and hides nothing of the others.
    for (const zone of [5, 11]) zones.giveUp(zone, "offline");
    await claimNow({ wipe: true });
    expect((await machine.device("sda")).label?.poolUuid).toBe(poolUuid);
  });

  test("one whose zones it does not tell is left alone", async () => {
    const { machine, zones } = machineWithZones();
    zones.disk.zones = undefined;
    expect((await machine.device("sda")).inUse).toMatchObject([{ kind: "unfit", what: "unreadable" }]);
  });
});

test("a file, which has no zones, is told from a device that has", async () => {
  const fd = openSync(import.meta.path, "r");
  try {
    await expect(readZones(fd, "a file", 4096)).rejects.toMatchObject({ code: "ENOTTY" });
  } finally {
    closeSync(fd);
  }
});
