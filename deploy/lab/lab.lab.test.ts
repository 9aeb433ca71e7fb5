/**
 * The lab itself: the disks are there as what they claim to be, and what a test asks of the host happens.
 */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { askHost, command, until } from "@couchestor/common/testing/lab.ts";

const sys = (path: string) => readFileSync(`/sys/block/${path}`, "utf8").trim();
const disks = () => readdirSync("/sys/block").filter((name) => /^(sd|nvme\d+n|vd)/.test(name));
const bySerial = (serial: string) => disks().find((name) => serialOf(name) === serial);

function serialOf(name: string): string {
  if (name.startsWith("nvme")) {
    const device = `/sys/block/${name}/device`;
    return existsSync(`${device}/serial`) ? readFileSync(`${device}/serial`, "utf8").trim() : "";
  }
  if (name.startsWith("vd")) return existsSync(`/sys/block/${name}/serial`) ? sys(`${name}/serial`) : "";
  const page = `/sys/block/${name}/device/vpd_pg80`;
  return existsSync(page) ? readFileSync(page).subarray(4).toString().trim() : "";
}

test("one disk of each kind is there", () => {
  const kinds = JSON.parse(command("lsblk", "-dJ", "-o", "NAME,TRAN,ROTA,ZONED")) as {
    blockdevices: { name: string; tran: string | null; rota: boolean; zoned: string }[];
  };
  const seen = kinds.blockdevices.map(({ tran, rota, zoned }) => `${tran} ${rota ? "turns" : "flash"} ${zoned}`).sort();
  expect(seen).toEqual([
    "null flash none",
    "nvme flash host-managed",
    "nvme flash none",
    "nvme flash none",
    "sas turns none",
    "sata turns none",
  ]);
});

test("an NVMe disk comes, keeps what was written over its removal, and goes again", async () => {
  const plug = { verb: "plug", disk: "hot", kind: "nvme", serial: "HOT1", sizeMiB: 64, slot: "rp1" } as const;
  const appears = () => until(async () => bySerial("HOT1"), 120_000, "the disk did not appear");
  const disappears = () =>
    until(async () => (bySerial("HOT1") === undefined ? true : undefined), 120_000, "the disk stayed");
  await askHost(plug);
  const first = await appears();
  command("bash", "-c", `printf couchestor | dd of=/dev/${first} conv=notrunc oflag=sync status=none`);
  await askHost({ verb: "unplug", device: "hot" });
  await disappears();
  await askHost(plug);
  const second = await appears();
  expect(command("dd", `if=/dev/${second}`, "bs=10", "count=1", "status=none")).toBe("couchestor");
  await askHost({ verb: "unplug", device: "hot" });
  await disappears();
});

test("a SCSI disk with a bad sector refuses that sector alone", async () => {
  const faults = [{ operation: "read", sector: 8, errno: 5 }] as const;
  await askHost({ verb: "plug", disk: "bad", kind: "scsi", serial: "BAD1", sizeMiB: 16, faults: [...faults] });
  const name = await until(async () => bySerial("BAD1"), 120_000, "the disk did not appear");
  const read = (skip: number) =>
    Bun.spawnSync(["dd", `if=/dev/${name}`, "of=/dev/null", "bs=4096", `skip=${skip}`, "count=1", "iflag=direct"])
      .exitCode;
  expect(read(0)).toBe(0);
  expect(read(1)).not.toBe(0);
  expect(read(2)).toBe(0);
  await askHost({ verb: "unplug", device: "bad" });
});

test("a warning that the host sets shows in the health page", async () => {
  const warning = () => JSON.parse(command("nvme", "smart-log", "/dev/nvme0", "-o", "json")).critical_warning as number;
  const before = warning();
  await askHost({ verb: "set", device: "nvc0", property: "smart_critical_warning", value: 4 });
  await askHost({ verb: "set", device: "nvc1", property: "smart_critical_warning", value: 4 });
  expect([before, warning()]).toEqual([0, 4]);
});

test("what the host can't do is an error in its words", async () => {
  await expect(askHost({ verb: "unplug", device: "nobody" })).rejects.toThrow("nobody");
  await expect(askHost({ verb: "unplug", device: "No Body" })).rejects.toThrow();
});
