/** Who uses a device is found out whatever the way: mounts, swap, holders, members, exports, exclusive openers; and what can't be found out is a reason to keep off. */
import { describe, expect, test } from "bun:test";
import { resolveDevice } from "./resolve.ts";
import { FakeDisk } from "./testing/fake-disk.ts";
import { Machine, machineWithDisk, mib } from "./testing/machine.ts";

const at = "/sys/devices/pci0000:00/0000:00:05.0/host0/target0:0:0/0:0:97:0/block/sda";

function withPartition(machine: Machine): void {
  machine.tree.set(`${at}/sda2/partition`, "2\n");
  machine.tree.set(`${at}/sda2/dev`, "8:1554\n");
}

async function uses(machine: Machine): Promise<string[]> {
  return (await machine.device("sda")).inUse.map(({ kind, what, detail }) => `${kind} ${what}: ${detail}`);
}

describe("in use", () => {
  test("a mounted disk, a mounted partition, a mount with blanks in its name", async () => {
    const { machine } = machineWithDisk();
    machine.tree.set("/proc/self/mountinfo", "30 1 8:1552 / /my\\040disk rw - xfs /dev/sda rw\n");
    expect(await uses(machine)).toEqual(["active mounted: /dev/sda is mounted at /my disk"]);
    withPartition(machine);
    machine.tree.set("/proc/self/mountinfo", "30 1 8:1554 / /srv rw - xfs /dev/sda2 rw\n");
    expect(await uses(machine)).toEqual([
      "active mounted: /dev/sda2 is mounted at /srv",
      "content partitioned: it has 1 partitions: sda2",
    ]);
  });

  test("a btrfs mount, which shows another device number, and a member that is not named by it", async () => {
    const { machine } = machineWithDisk();
    machine.tree.set("/proc/self/mountinfo", "30 1 0:45 / /data rw - btrfs /dev/sda rw\n");
    expect(await uses(machine)).toEqual(["active mounted: /dev/sda is mounted at /data"]);
    machine.tree.set("/proc/self/mountinfo", "");
    machine.tree.set("/sys/fs/btrfs/3c2f0f0e-0000-4000-8000-000000000001/devices/sda", {
      link: "../../../../block/sda",
    });
    expect(await uses(machine)).toEqual([
      "active btrfs: /dev/sda is a member of the mounted btrfs 3c2f0f0e-0000-4000-8000-000000000001",
    ]);
  });

  test("mounts of the machine that only process 1 sees count as well", async () => {
    const { machine } = machineWithDisk();
    machine.tree.set("/proc/1/mountinfo", "30 1 8:1552 / /var/lib/x rw - ext4 /dev/sda rw\n");
    expect(await uses(machine)).toEqual(["active mounted: /dev/sda is mounted at /var/lib/x"]);
  });

  test("swap on a partition, through a link", async () => {
    const { machine } = machineWithDisk();
    withPartition(machine);
    machine.tree.set("/dev/disk/by-uuid/1", { link: "../../sda2" });
    machine.tree.set("/dev/sda2", { dir: true });
    machine.tree.set("/proc/swaps", "Filename\tType\tSize\n/dev/disk/by-uuid/1   partition\t1\n/swapfile file 1\n");
    expect((await uses(machine))[0]).toBe("active swap: the system swaps to /dev/sda2");
  });

  test("holders of the disk and of its partitions, with the name that people know", async () => {
    const { machine } = machineWithDisk();
    withPartition(machine);
    machine.tree.set(`${at}/sda2/holders/dm-3`, { link: "../../../dm-3" });
    machine.tree.set("/sys/block/dm-3/dm/name", "vg-root\n");
    machine.tree.set(`${at}/holders/md0`, { link: "../../md0" });
    expect((await uses(machine)).slice(0, 2)).toEqual([
      "active holder: /dev/sda is held by md0",
      "active holder: /dev/sda2 is held by dm-3 (vg-root)",
    ]);
  });

  test("an export of the kernel's NVMe target, which opens nothing exclusively; and one who does", async () => {
    const { machine, disk } = machineWithDisk();
    machine.tree.set("/sys/kernel/config/nvmet/subsystems/nqn.x/namespaces/1/device_path", "/dev/sda\n");
    expect(await uses(machine)).toEqual(["active exported: /dev/sda is exported over NVMe as nqn.x"]);
    machine.tree.remove("/sys/kernel/config");
    machine.nodes.busy.add(disk);
    expect(await uses(machine)).toEqual(["active opened: another process has /dev/sda open exclusively"]);
  });
});

describe("what can't be found out", () => {
  test("no permission, no node, another device at the path, a device that is gone: each in words that say what to do", async () => {
    const { machine, disk } = machineWithDisk();
    machine.nodes.refusals.set("/dev/sda", "EACCES");
    expect((await uses(machine))[0]).toContain("run as root");
    machine.nodes.refusals.set("/dev/sda", "ENXIO");
    expect((await uses(machine))[0]).toBe("unfit gone: /dev/sda is gone (ENXIO)");
    machine.nodes.refusals.clear();
    machine.nodes.remove("/dev/sda");
    expect((await uses(machine))[0]).toContain("give it the host's /dev");
    machine.nodes.set("/dev/sda", disk, "8:999");
    expect((await uses(machine))[0]).toBe("unfit no-node: /dev/sda is device 8:999, not 8:1552");
    machine.nodes.set("/dev/sda", disk, "8:1552");
    disk.gone = true;
    expect((await uses(machine))[0]).toContain("/dev/sda is gone (ENODEV)");
  });

  test("unreadable mounts are a problem of the whole look", async () => {
    const { machine } = machineWithDisk();
    machine.tree.set("/proc/self/mountinfo", { error: "EACCES" });
    const { survey } = await import("./survey.ts");
    expect((await survey(machine.parts())).problems).toEqual([
      "/proc/self/mountinfo can't be read (EACCES): mounts are not known",
    ]);
  });

  test("a disk too small for a pool, and a read-only one, are unfit", async () => {
    const machine = new Machine();
    machine.plug("sda", new FakeDisk(64 * mib));
    machine.tree.set(`${at}/ro`, "1\n");
    expect((await uses(machine)).map((use) => use.split(":")[0])).toEqual(["unfit read-only", "unfit small"]);
  });
});

describe("naming a device", () => {
  test("by id, by udev's names and by label; a path is answered with the id; two of one id are told apart by nothing", async () => {
    const { machine } = machineWithDisk();
    const sda = { ...(await machine.device("sda")), byId: ["ata-X"] };
    const label = {
      poolUuid: "11111111-1111-4111-8111-111111111111",
      poolName: "p",
      nodeName: "",
      clusterUuid: "",
      kind: "block" as const,
    };
    const other = { ...sda, id: "wwn-2", name: "sdb", path: "/dev/sdb", byId: [], label };
    for (const name of [sda.id, "ata-X"]) expect(resolveDevice([sda, other], name)).toBe(sda);
    expect(resolveDevice([sda, other], `pool-${label.poolUuid}`)).toBe(other);
    for (const name of ["/dev/sda", "sda"])
      expect(() => resolveDevice([sda, other], name)).toThrow(`its id is ${sda.id}`);
    expect(() => resolveDevice([sda, other], "wwn-9")).toThrow(`is not there. There are: ${sda.id}, wwn-2`);
    expect(() => resolveDevice([sda, { ...other, id: sda.id }], sda.id)).toThrow(
      "/dev/sda and /dev/sdb both say to be it",
    );
  });
});
