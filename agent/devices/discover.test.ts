/** Discovery on the sysfs of a real kernel (6.1, in QEMU, captured with two NVMe subsystems, NVMe/TCP, ZNS, SATA, SAS, RAID, USB, virtio), and on what goes wrong with it. */
import { beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { discover } from "./discover.ts";
import type { Device } from "./model.ts";
import { type Capture, FakeTree } from "./testing/fake-tree.ts";

const capture: Capture = await Bun.file(join(import.meta.dir, "testdata/qemu-machine.json")).json();
const sda = "/sys/devices/pci0000:00/0000:00:05.0/ata1/host0/target0:0:0/0:0:0:0";
let tree: FakeTree;
beforeEach(() => {
  tree = new FakeTree(capture);
});

async function byName(): Promise<Record<string, Device>> {
  const { devices } = await discover(tree);
  return Object.fromEntries(devices.map((device) => [device.name, device]));
}

describe("what a machine has", () => {
  test("each device has its own stable id, its transport and the tier it suits", async () => {
    const { devices } = await discover(tree);
    expect(devices.map(({ name, id, transport, tier }) => `${name} ${id} ${transport} ${tier}`)).toEqual([
      "dm-0 dm-lin0 virtual cold",
      "nullb0 name-nullb0 virtual warm",
      "nvme0n1 nvme-QEMU_NVMe_Ctrl_NVME0001_ns1 pcie hot",
      "nvme0n2 nvme-QEMU_NVMe_Ctrl_NVME0001_ns2 pcie hot",
      "nvme1n1 nvme-QEMU_NVMe_Ctrl_ZNS00001_ns1 pcie warm",
      "nvme2n1 nvme-QEMU_NVMe_Ctrl_MPATH001_ns1 pcie hot",
      "nvme4n1 nvme-uuid.846e869f-aee3-4f1d-94b8-b84c4cd07e9e tcp warm",
      "sda wwn-0x5000c50000000001 sata cold",
      "sdb wwn-0x5000c50000000002 sas cold",
      "sdc wwn-0x5000c50000000009 raid cold",
      "sdd wwn-0x5000c50000000003 virtio warm",
      "sde wwn-0x33333330000084d0 virtual warm",
      "sdf usb-QEMU_QEMU_HARDDISK_USB00001 usb cold",
      "vda virtio-VBLK0001 virtio cold",
      "vdb name-vdb virtio cold",
    ]);
    expect(devices.filter(({ idStable }) => !idStable).map(({ name }) => name)).toEqual(["nullb0", "vdb"]);
    expect(devices.flatMap(({ problems }) => problems)).toEqual([]);
  });

  test("a zoned namespace with its limits, blocks of 4096 bytes and the capacity in bytes", async () => {
    expect((await byName())["nvme1n1"]).toMatchObject({
      model: "QEMU NVMe Ctrl",
      serial: "ZNS00001",
      firmware: "7.2.22",
      zoned: "host-managed",
      logicalBlockBytes: 4096,
      capacityBytes: 512 * 2 ** 20,
      zones: { zoneCount: 32, zoneBytes: 16 * 2 ** 20, openMax: 8, activeMax: 12, appendBytesMax: 524_288 },
    });
  });

  test("the hidden paths of multipath are passed over, and the namespace knows both its controllers, the live one first", async () => {
    tree.set("/sys/devices/pci0000:00/0000:00:0c.0/nvme/nvme2/state", "connecting\n");
    const { devices, skipped } = await discover(tree);
    expect(devices.find(({ name }) => name === "nvme2n1")?.nvme?.controllers).toEqual(["/dev/nvme3", "/dev/nvme2"]);
    expect(skipped.map(({ name }) => name)).toEqual([
      "loop0",
      "nvme0c0n1",
      "nvme0c0n2",
      "nvme2c2n1",
      "nvme2c3n1",
      "nvme4c4n1",
    ]);
  });

  test("SATA and SAS disks tell serial, firmware, speed and the generic device, without udev", async () => {
    const devices = await byName();
    expect(devices["sda"]).toMatchObject({
      serial: "SATA0001",
      wwn: "naa.5000c50000000001",
      rotational: true,
      rotationRpm: 7200,
      scsi: { address: "0:0:0:0", sgPath: "/dev/sg0", isAta: true },
    });
    expect(devices["sdb"]).toMatchObject({ serial: "SAS00001", rotationRpm: 10_000, scsi: { isAta: false } });
  });

  test("where udev is, its names are told; NUMA nodes come from the PCI device", async () => {
    tree.set("/dev/disk/by-id/ata-LAB-SATA-HDD_SATA0001", { link: "../../sda" });
    tree.set("/dev/sda", { dir: true });
    tree.set("/sys/devices/pci0000:00/0000:00:05.0/numa_node", "1\n");
    tree.set("/sys/devices/pci0000:00/0000:00:03.0/nvme/nvme0/numa_node", "0\n");
    const devices = await byName();
    expect(devices["sda"]).toMatchObject({ byId: ["ata-LAB-SATA-HDD_SATA0001"], numaNode: 1 });
    expect(devices["nvme0n1"]?.numaNode).toBe(0);
    expect(devices["sdb"]?.numaNode).toBeUndefined();
  });
});

describe("identity", () => {
  test("stays when names change places", async () => {
    const before = await byName();
    const [a, b] = [tree.entries.get("/sys/block/sda"), tree.entries.get("/sys/block/sdb")];
    if (a === undefined || b === undefined) throw new Error("no disks in the capture");
    tree.set("/sys/block/sda", b);
    tree.set("/sys/block/sdb", a);
    const after = await byName();
    expect(after["sda"]?.id).toBe(before["sdb"]?.id as string);
    expect(after["sdb"]?.id).toBe(before["sda"]?.id as string);
  });

  test("without the kernel's wwid the pages of vital product data give the same id", async () => {
    tree.set(`${sda}/wwid`, { error: 6 });
    expect((await byName())["sda"]).toMatchObject({ id: "wwn-0x5000c50000000001", problems: [] });
    tree.set(`${sda}/vpd_pg83`, { hex: "0083" });
    expect((await byName())["sda"]?.id).toBe("ata-LAB-SATA-HDD_SATA0001");
    tree.set(`${sda}/vpd_pg80`, { hex: "ffffffffffffffff" });
    expect((await byName())["sda"]).toMatchObject({ id: "name-sda", idStable: false });
  });

  test("two devices with one id are both unfit to be claimed by it", async () => {
    const other = "/sys/devices/pci0000:00/0000:00:06.0/host12/port-12:0/end_device-12:0/target12:0:0/12:0:0:0";
    tree.set(`${other}/wwid`, "naa.5000c50000000001\n");
    const devices = await byName();
    expect(devices["sda"]?.inUse).toMatchObject([{ kind: "unfit", what: "same-id" }]);
    expect(devices["sdb"]?.inUse[0]?.detail).toContain("/dev/sda says to be the same disk");
    expect(devices["sdd"]?.inUse).toEqual([]);
  });
});

describe("sysfs that is not as it should be", () => {
  test("no /sys says what to mount; one that can't be read says why", async () => {
    const { devices, problems } = await discover(new FakeTree({}));
    expect(devices).toEqual([]);
    expect(problems.join()).toContain("mount sysfs");
    const denied = await discover(new FakeTree({ "/sys/block": { error: "EACCES" } }));
    expect(denied.problems).toEqual(["/sys/block can't be read: EACCES"]);
  });

  test("empty, huge, unreadable and nonsense attributes cost that figure only, and are named", async () => {
    tree.set(`${sda}/model`, "");
    tree.set(`${sda}/vpd_pg80`, { hex: "00".repeat(70_000) });
    tree.set(`${sda}/rev`, { error: 5 });
    tree.set(`${sda}/block/sda/queue/physical_block_size`, "lots\n");
    const device = (await byName())["sda"];
    expect(device).toMatchObject({
      id: "wwn-0x5000c50000000001",
      capacityBytes: 512 * 2 ** 20,
      physicalBlockBytes: 512,
    });
    expect(device).not.toHaveProperty("model");
    expect(device?.problems.toSorted()).toEqual([
      `${sda}/block/sda/queue/physical_block_size: "lots" is no number`,
      `${sda}/rev: EIO`,
      `${sda}/vpd_pg80: much longer than such a file can be`,
    ]);
  });

  test("a device that disappears between listing and reading is left out, at whatever moment, and the others stay", async () => {
    for (let gone = 1; gone < 60; gone += 3) {
      const fresh = new FakeTree(capture);
      let seen = 0;
      fresh.before = (path) => {
        if (path.startsWith(sda) || path === "/sys/block/sda") seen++;
        if (seen === gone) {
          fresh.remove(sda);
          fresh.remove("/sys/block/sda");
        }
      };
      const { devices } = await discover(fresh);
      expect(devices.filter(({ name }) => name !== "sda").length).toBe(14);
      expect(devices.filter(({ name, id }) => name === "sda" && id !== "wwn-0x5000c50000000001")).toEqual([]);
    }
  });
});
