/**
 * Disks pulled out while chunks are written to them: nothing acknowledged is lost, the pool says that its disk is gone (not full, not damaged),
 * and goes on when the disk is back, under whatever name.
 * lab: timeoutSeconds=1200
 */
import { expect, test } from "bun:test";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { askHost, until } from "@couchestor/common/testing/lab.ts";
import { FaultLoad } from "./testing/fault-load.ts";
import { diskBySerial, diskNow, labPool } from "./testing/lab-pool.ts";

interface Pulled {
  serial: string;
  pull(): Promise<void>;
  plug(): Promise<void>;
}

function hotplugged(disk: string, kind: "nvme" | "scsi" | "virtio", serial: string, slot = "rp2"): Pulled {
  return {
    serial,
    pull: () => askHost({ verb: "unplug", device: disk }),
    plug: () => askHost({ verb: "plug", disk, kind, serial, sizeMiB: 1024, slot }),
  };
}

/** A path that stays the same while the kernel's name of the disk changes. */
function pathOf(serial: string): string {
  return `/tmp/by-serial-${serial}`;
}

async function link(serial: string): Promise<void> {
  rmSync(pathOf(serial), { force: true });
  symlinkSync(await diskBySerial(serial), pathOf(serial));
}

async function pulledUnderLoad({ serial, pull, plug }: Pulled): Promise<void> {
  await link(serial);
  const load = new FaultLoad();
  await using pool = await labPool(pathOf(serial));
  await load.putSome(pool.store(), 30);
  const from = load.acknowledged.length;
  let pulled: Promise<void> | undefined;
  const gone = () => pulled !== undefined && pool.state().state === "Failed";
  const codes = await load.run(
    () => {
      if (load.acknowledged.length >= from + 15) pulled ??= pull();
      return pool.store();
    },
    gone,
    () => systemClock.sleep(20),
  );
  await pulled;
  expect(codes["NoSpace"]).toBeUndefined();
  expect(pool.state()).toMatchObject({ state: "Failed" });
  expect(pool.state().reason).toContain("gone");
  // While it is away, the agent tries and says why it can't.
  await pool.registry.maintain();
  await until(async () => (diskNow(serial) === undefined ? true : undefined), 120_000, "the disk stayed");
  expect(pool.state().state).toBe("Failed");
  expect((pool.state().reason ?? "").length).toBeGreaterThan(20);

  await plug();
  await link(serial);
  const store = await pool.recover();
  expect((await load.audit(store)).violations).toEqual([]);
  await load.putSome(store, 15);
  const after = await load.audit(store);
  expect(after.violations).toEqual([]);
  expect(after.intact).toBe(load.acknowledged.length);
}

test("an NVMe disk", async () => {
  const disk = hotplugged("hotnv", "nvme", "PULLED-NVME");
  await disk.plug();
  await pulledUnderLoad(disk);
});

test("a SCSI disk", async () => {
  const disk = hotplugged("hotsd", "scsi", "PULLED-SCSI");
  await disk.plug();
  await pulledUnderLoad(disk);
});

test("a virtio disk", async () => {
  const disk = hotplugged("hotvd", "virtio", "PULLED-VIRTIO", "rp1");
  await disk.plug();
  await pulledUnderLoad(disk);
});

test("a SATA disk, taken out by the kernel's own switch", async () => {
  await pulledUnderLoad({
    serial: "SATA0001",
    async pull() {
      const name = (await diskBySerial("SATA0001")).replace("/dev/", "");
      writeFileSync(`/sys/block/${name}/device/delete`, "1");
    },
    async plug() {
      for (let host = 0; host < 16; host++) {
        try {
          writeFileSync(`/sys/class/scsi_host/host${host}/scan`, "- - -");
        } catch {
          // Fewer hosts than that.
        }
      }
    },
  });
});

test("an NVMe disk whose controller is removed by the kernel's own switch and found again by a rescan", async () => {
  const serial = "RESCANNED";
  await askHost({ verb: "plug", disk: "rescan", kind: "nvme", serial, sizeMiB: 1024, slot: "rp3" });
  await pulledUnderLoad({
    serial,
    async pull() {
      const name = (await diskBySerial(serial)).replace("/dev/", "").replace(/n\d+$/, "");
      writeFileSync(`/sys/class/nvme/${name}/device/remove`, "1");
    },
    async plug() {
      writeFileSync("/sys/bus/pci/rescan", "1");
    },
  });
});
