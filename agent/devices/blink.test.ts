/** The right light is switched, and switched off again whatever happens; where there is none it is said. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { type BlinkOptions, blink } from "./blink.ts";
import { discover } from "./discover.ts";
import { FakeDisk, FakeNodes } from "./testing/fake-disk.ts";
import { type Capture, FakeTree } from "./testing/fake-tree.ts";

const capture: Capture = await Bun.file(join(import.meta.dir, "testdata/qemu-machine.json")).json();
const sas = "/sys/devices/pci0000:00/0000:00:06.0/host12/port-12:0/end_device-12:0/target12:0:0/12:0:0:0";

async function machine(more: Capture) {
  const tree = new FakeTree({ ...capture, ...more });
  const clock = new FakeClock();
  const nodes = new FakeNodes();
  const { devices } = await discover(tree);
  const go = (name: string, options: Partial<BlinkOptions> = {}) => {
    const device = devices.find((found) => found.name === name);
    if (device === undefined) throw new Error(`no ${name}`);
    return blink({ tree, nodes, clock }, device, {
      forMs: 1_000,
      activity: false,
      signal: new AbortController().signal,
      ...options,
    });
  };
  return { tree, clock, nodes, go };
}

test("an enclosure's locate light, by SES", async () => {
  const { tree, clock, go } = await machine({ [`${sas}/enclosure_device:Slot 03/locate`]: { text: "0\n" } });
  const done = go("sdb");
  await clock.advance(999);
  expect(tree.writes.map(([, text]) => text)).toEqual(["1"]);
  await clock.advance(1);
  expect((await done).by).toContain("SES");
  expect(tree.writes).toEqual([
    [`${sas}/enclosure_device:Slot 03/locate`, "1"],
    [`${sas}/enclosure_device:Slot 03/locate`, "0"],
  ]);
});

test("an NVMe disk behind multipath: its own slot's light, by NPEM or attention, not its neighbour's", async () => {
  const npem = await machine({ "/sys/class/leds/0000:00:03.0:enclosure:locate/brightness": { text: "0\n" } });
  const stop = new AbortController();
  const stopped = npem.go("nvme0n1", { signal: stop.signal });
  await npem.clock.advance(10);
  stop.abort();
  expect((await stopped).by).toContain("NPEM");
  expect(npem.tree.writes.at(-1)?.[1]).toBe("0");
  const slot = await machine({
    "/sys/bus/pci/slots/7/address": { text: "0000:00:04\n" },
    "/sys/bus/pci/slots/7/attention": { text: "0\n" },
  });
  const attention = slot.go("nvme1n1");
  await slot.clock.advance(1_000);
  expect((await attention).by).toBe("the attention light of PCIe slot 7");
  await expect(slot.go("nvme0n1")).rejects.toThrow("knows no light");
});

test("a read-only /sys is told with what to do", async () => {
  const { go } = await machine({ [`${sas}/enclosure_device:S/locate`]: { error: "EROFS" } });
  await expect(go("sdb")).rejects.toThrow(/can't be written \(EROFS\)/);
});

test("without a light nothing is read unless asked for; then it is read in bursts until the time is over", async () => {
  const { go, nodes, clock } = await machine({});
  const disk = new FakeDisk(8 * 2 ** 20);
  nodes.set("/dev/sdb", disk, "8:16");
  let reads = 0;
  const open = nodes.openToLook.bind(nodes);
  nodes.openToLook = async (path) => {
    const device = await open(path);
    const read: typeof device.read = (into, offset) => {
      reads++;
      return device.read(into, offset);
    };
    return { ...device, read };
  };
  const refused = await go("sdb").catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(AppError);
  expect([(refused as AppError).code, reads]).toEqual(["FailedPrecondition", 0]);
  const done = go("sdb", { activity: true, forMs: 2_000 });
  for (let i = 0; i < 5; i++) await clock.advance(500);
  await done;
  expect(reads).toBe(64);
});
