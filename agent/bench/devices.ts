/**
 * How long it takes to find the devices of a machine, and to see that nothing has changed. On a tree of real files shaped like sysfs, half NVMe and
 * half SATA, since no machine at hand has 64 disks; the kernel's own attributes take about as long to read as files in memory.
 */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { typescriptChecksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import { discover } from "../devices/discover.ts";
import { DeviceMonitor } from "../devices/monitor.ts";
import type { DeviceNodes } from "../devices/ports.ts";
import { systemTree } from "../devices/sys-tree.ts";
import { type Bench, type BenchLine, median } from "./bench.ts";

const rounds = 15;
const counts = [8, 64];
const nameOf = { discover: (n: number) => `device.discover.${n}`, poll: (n: number) => `device.poll.${n}` };

const queue = {
  rotational: "0\n",
  zoned: "none\n",
  logical_block_size: "512\n",
  physical_block_size: "4096\n",
};

/** The attributes of disk `i`, by path. */
function attributes(i: number): { name: string; at: string; files: Record<string, string | Uint8Array> } {
  const pci = `/sys/devices/pci0000:00/0000:${i.toString(16).padStart(2, "0")}:00.0`;
  const block = { dev: `259:${i}\n`, size: "7501476528\n", ro: "0\n", removable: "0\n", diskseq: `${i}\n` };
  const own = (at: string, more: Record<string, string>) =>
    Object.fromEntries(
      Object.entries({ ...block, ...more, ...prefixed("queue/", queue) }).map(([file, text]) => [
        `${at}/${file}`,
        text,
      ]),
    );
  if (i % 2 === 0) {
    const controller = `${pci}/nvme/nvme${i}`;
    const at = `${controller}/nvme${i}n1`;
    const about = {
      model: "BENCH NVME\n",
      serial: `NV${i}\n`,
      firmware_rev: "1.0\n",
      state: "live\n",
      transport: "pcie\n",
    };
    const wwid = `eui.0025385b2140${i.toString(16).padStart(4, "0")}\n`;
    const files = {
      ...prefixed(`${controller}/`, about),
      ...own(at, { nsid: "1\n", wwid }),
      [`${pci}/numa_node`]: "0\n",
    };
    return { name: `nvme${i}n1`, at, files };
  }
  const target = `${pci}/ata${i}/host${i}/target${i}:0:0/${i}:0:0:0`;
  const about = {
    vendor: "ATA     \n",
    model: "BENCH DISK\n",
    rev: "2.0\n",
    type: "0\n",
    wwid: `naa.5000c500${i.toString(16).padStart(8, "0")}\n`,
  };
  const serial = Buffer.from(`    SATA${i}`.padEnd(12));
  serial.set([0, 0x80, 0, 8]);
  const at = `${target}/block/sd${String.fromCharCode(97 + (i >> 1))}`;
  const host = { [`${pci}/ata${i}/host${i}/scsi_host/host${i}/proc_name`]: "ahci\n", [`${pci}/numa_node`]: "0\n" };
  const files = {
    ...prefixed(`${target}/`, about),
    ...own(at, {}),
    ...host,
    [`${target}/vpd_pg80`]: new Uint8Array(serial),
  };
  return { name: at.slice(at.lastIndexOf("/") + 1), at, files };
}

function prefixed(prefix: string, files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([file, text]) => [prefix + file, text]));
}

async function makeTree(root: string, count: number): Promise<void> {
  await mkdir(join(root, "sys/block"), { recursive: true });
  for (let i = 0; i < count; i++) {
    const { name, at, files } = attributes(i);
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    }
    await mkdir(join(root, at, "holders"));
    await symlink(name.startsWith("nvme") ? ".." : `../../../${at.split("/").at(-3)}`, join(root, at, "device"));
    await symlink(at.replace("/sys/", "../"), join(root, "sys/block", name));
  }
}

/** The tree has no device nodes; the look at contents is left out, as it depends on the disks. */
const noNodes: DeviceNodes = {
  numberAt: async () => undefined,
  openToLook: (path) => Promise.reject(new FileSystemError("ENOENT", "open", path)),
  isBusy: async () => false,
  openExclusive: (path) => Promise.reject(new FileSystemError("ENOENT", "open", path)),
};

async function measure(count: number): Promise<BenchLine[]> {
  const dir = await tempDir("device-bench");
  try {
    await makeTree(dir.path, count);
    const tree = systemTree(dir.path);
    const parts = { tree, nodes: noNodes, checksum: typescriptChecksum, clock: systemClock, log: silentLogger() };
    const monitor = new DeviceMonitor(parts);
    await monitor.look();
    const found = monitor.devices().filter(({ idStable, serial }) => idStable && serial !== undefined).length;
    if (found !== count) throw new Error(`found ${found} devices with an identity, made ${count}`);
    const time = async (run: () => Promise<unknown>): Promise<number> => {
      const beganMs = systemClock.monotonicMs();
      await run();
      return systemClock.monotonicMs() - beganMs;
    };
    const discoveries: number[] = [];
    const polls: number[] = [];
    for (let i = 0; i < rounds; i++) {
      discoveries.push(await time(() => discover(tree)));
      polls.push(await time(() => monitor.look()));
    }
    return [
      { bench: nameOf.discover(count), ours: median(discoveries), unit: "ms" },
      { bench: nameOf.poll(count), ours: median(polls), unit: "ms" },
    ];
  } finally {
    await dir[Symbol.asyncDispose]();
  }
}

export const deviceBenches: readonly Bench[] = counts.map((count) => ({
  lines: [nameOf.discover(count), nameOf.poll(count)],
  run: () => measure(count),
}));
