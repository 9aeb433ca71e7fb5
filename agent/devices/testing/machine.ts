/** A machine with one fake disk, for tests of looking and claiming. */
import type { ClaimOrder } from "@couchestor/common/api/local-devices.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { typescriptChecksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import type { ClaimParts } from "../claim.ts";
import type { Device } from "../model.ts";
import { survey } from "../survey.ts";
import { FakeDisk, FakeNodes } from "./fake-disk.ts";
import { FakeTree } from "./fake-tree.ts";
import type { FakeZones } from "./fake-zones.ts";

export const mib = 2 ** 20;
export const clusterA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
export const clusterB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";
export const poolUuid = "11111111-1111-4111-8111-111111111111";

export function order(more: Partial<ClaimOrder> = {}): ClaimOrder {
  return { poolName: "fast", nodeName: "n1", clusterUuid: undefined, wipe: false, move: false, ...more };
}

export class Machine {
  readonly tree = new FakeTree({ "/proc/self/mountinfo": { text: "" }, "/proc/swaps": { text: "Filename\tType\n" } });
  readonly nodes = new FakeNodes();
  readonly clock = new FakeClock();
  readonly prng = seededPrng(1);
  openers: string[] = [];
  readonly #zoned = new Map<string, FakeZones>();
  /** What happens while something is waited for. */
  pause: () => Promise<void> = async () => undefined;
  readonly #locks = new Set<string>();

  /** Plugs a disk in as `name`. */
  plug(name: string, disk: FakeDisk, options: { wwid?: string; number?: string } = {}): void {
    const {
      wwid = `naa.5000c5000000${name.charCodeAt(2).toString(16).padStart(4, "0")}`,
      number = `8:${name.charCodeAt(2) * 16}`,
    } = options;
    const at = `/sys/devices/pci0000:00/0000:00:05.0/host0/target0:0:0/0:0:${name.charCodeAt(2)}:0`;
    this.tree.set(`/sys/block/${name}`, { link: `${at.replace("/sys/", "../")}/block/${name}` });
    this.tree.set(`${at}/block/${name}/device`, { link: `../../../0:0:${name.charCodeAt(2)}:0` });
    this.tree.set(`${at}/block/${name}/dev`, `${number}\n`);
    this.tree.set(`${at}/block/${name}/size`, `${disk.sizeBytes / 512}\n`);
    this.tree.set(`${at}/block/${name}/holders`, { dir: true });
    this.tree.set(`${at}/block/${name}/queue/rotational`, "1\n");
    this.tree.set(`${at}/wwid`, `${wwid}\n`);
    this.nodes.set(`/dev/${name}`, disk, number);
  }

  /** Plugs a disk with zones in as `name`. */
  plugZoned(name: string, zones: FakeZones): void {
    this.plug(name, zones.disk);
    const at = `/sys/devices/pci0000:00/0000:00:05.0/host0/target0:0:0/0:0:${name.charCodeAt(2)}:0/block/${name}/queue`;
    this.tree.set(`${at}/zoned`, "host-managed\n");
    this.tree.set(`${at}/nr_zones`, `${zones.zoneCount}\n`);
    this.tree.set(`${at}/chunk_sectors`, `${zones.zoneBytes / 512}\n`);
    this.#zoned.set(`/dev/${name}`, zones);
  }

  unplug(name: string): void {
    this.tree.remove(`/sys/block/${name}`);
    this.tree.remove(`/sys/devices/pci0000:00/0000:00:05.0/host0/target0:0:0/0:0:${name.charCodeAt(2)}:0`);
    this.nodes.remove(`/dev/${name}`);
  }

  parts(): ClaimParts {
    return {
      tree: this.tree,
      nodes: this.nodes,
      checksum: typescriptChecksum,
      clock: {
        wallMs: () => this.clock.wallMs(),
        monotonicMs: () => this.clock.monotonicMs(),
        after: (ms, run) => this.clock.after(ms, run),
        sleep: () => this.pause(),
      },
      fileSystem: {
        lock: async (path) => {
          if (this.#locks.has(path)) throw new FileSystemError("EWOULDBLOCK", "lock", path);
          this.#locks.add(path);
          return { release: async () => void this.#locks.delete(path) };
        },
      },
      openZoned: async (path) => {
        const zones = this.#zoned.get(path);
        if (zones === undefined) throw new FileSystemError("ENOTTY", "open", "no zones here");
        const { close } = await this.nodes.openExclusive(path);
        return zones.opened(close);
      },
      openers: async () => this.openers,
      rereadPartitions: async () => undefined,
    };
  }

  /** The device called `name` now, looked at. */
  async device(name: string): Promise<Device> {
    const { devices } = await survey(this.parts());
    const found = devices.find((device) => device.name === name);
    if (found === undefined) throw new Error(`no ${name}`);
    return found;
  }
}

/** A machine with a disk of 300 MiB as sda. */
export function machineWithDisk(): { machine: Machine; disk: FakeDisk } {
  const machine = new Machine();
  const disk = new FakeDisk(300 * mib);
  machine.plug("sda", disk);
  return { machine, disk };
}
