/** This machine's devices for the command line: every port of this folder with its adapter. */
import { open } from "node:fs/promises";
import type {
  ClaimAnswer,
  HealthAnswer,
  LocalDevices,
  NvmeIdentity,
  ReleaseAnswer,
} from "@couchestor/common/api/local-devices.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { errnoError } from "@couchestor/native-ffi/core/errno.ts";
import { fadviseDontNeed, flockExclusive, lastErrno, libc } from "@couchestor/native-ffi/libc/libc.ts";
import { openNvme } from "@couchestor/native-ffi/nvme/nvme-device.ts";
import { openZonedFile } from "@couchestor/native-ffi/zoned/zoned-file.ts";
import type { Log } from "../ports.ts";
import { blink } from "./blink.ts";
import { type ClaimParts, claim } from "./claim.ts";
import { planClaim, planRelease } from "./claim-plan.ts";
import { systemDeviceNodes } from "./device-nodes-adapter.ts";
import { HealthMonitor } from "./health/health-monitor.ts";
import type { Device } from "./model.ts";
import { nvmeIdentity } from "./nvme-identity.ts";
import { openersOf } from "./openers-adapter.ts";
import { patientNodes } from "./patient-nodes.ts";
import { release } from "./release.ts";
import { resolveDevice } from "./resolve.ts";
import { WorkerSmartReader } from "./smart/worker-reader.ts";
import { survey } from "./survey.ts";
import { systemTree } from "./sys-tree.ts";

const identifyNamespace = 0;
const identifyController = 1;
const rereadPartitionTable = 0x125f; // BLKRRPART

/** What claiming needs of the real world. */
export async function systemClaimParts(clock: Clock): Promise<ClaimParts> {
  return {
    tree: systemTree(),
    nodes: patientNodes(systemDeviceNodes(), clock),
    checksum: (await selectCodec()).checksum,
    clock,
    fileSystem: nodeFileSystem({ flock: flockExclusive, dropCache: fadviseDontNeed }),
    openZoned: (path) => openZonedFile(path),
    openers: openersOf,
    rereadPartitions,
  };
}

async function rereadPartitions(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    if (libc().ioctl(file.fd, rereadPartitionTable, null) !== 0) throw errnoError(lastErrno(), "ioctl BLKRRPART", path);
  } finally {
    await file.close();
  }
}

/** The port for the command line. */
export async function localDevices(parts: { clock: Clock; prng: Prng; log: Log }): Promise<LocalDevices> {
  const { clock, prng, log } = parts;
  const claims = await systemClaimParts(clock);
  const reader = new WorkerSmartReader(clock);
  const tree = claims.tree;
  const find = async (id: string): Promise<Device> => {
    const { devices, problems } = await survey(claims);
    const [problem] = problems;
    if (devices.length === 0 && problem !== undefined) throw new AppError("FailedPrecondition", problem);
    return resolveDevice(devices, id);
  };
  const withHealth = async (devices: readonly Device[]): Promise<Device[]> => {
    const monitor = new HealthMonitor({ clock, log, reader, tree, pools: () => [] });
    monitor.observe(devices);
    await monitor.look();
    return devices.map((device) => {
      const health = monitor.healthOf(device.id);
      return health === undefined ? device : { ...device, health };
    });
  };
  return {
    async list() {
      const inventory = await survey(claims);
      return { ...inventory, devices: await withHealth(inventory.devices) };
    },
    health: async (id) => {
      const device = await find(id);
      return healthAnswer((await withHealth([device]))[0], identify(device));
    },
    async claim(id, order, effects): Promise<ClaimAnswer> {
      const device = await find(id);
      const plan = planClaim(device, order, prng.uuid());
      if (effects.dryRun) return { device, ...plan };
      await claim(claims, device, plan, { wipe: order.wipe, ...effects });
      return { device: await find(id), ...plan };
    },
    async release(id, destroyData, effects): Promise<ReleaseAnswer> {
      const device = await find(id);
      const plan = planRelease(device);
      const segments = await release(claims, device, plan, { destroyData, ...effects });
      return { device, ...plan, segments };
    },
    blink: async (id, options) => blink({ tree, nodes: claims.nodes, clock }, await find(id), options),
    close: () => reader.close(),
  };
}

function healthAnswer(device: Device | undefined, nvme: NvmeIdentity | undefined): HealthAnswer {
  if (device?.health === undefined) throw new AppError("Unavailable", "its health could not be read");
  return { device, health: device.health, ...(nvme === undefined ? {} : { nvme }) };
}

/** Undefined for what is no NVMe device, or does not answer: its health says why. Blocks, as long as the device takes. */
function identify({ nvme }: Device): NvmeIdentity | undefined {
  const controller = nvme?.controllers[0];
  if (nvme === undefined || controller === undefined) return undefined;
  try {
    const open = openNvme(controller);
    try {
      const own = open.identify({ cns: identifyController, nsid: 0 });
      const namespace = open.identify({ cns: identifyNamespace, nsid: nvme.namespaceId });
      return { via: open.via, ...nvmeIdentity(own, namespace) };
    } finally {
      open.close();
    }
  } catch {
    return undefined;
  }
}
