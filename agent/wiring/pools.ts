/** The pools of this agent, wired: directories, block devices, zoned devices and claimed ones by id; opened at the start and kept open. */
import { join } from "node:path";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { FileSystem } from "@couchestor/common/runtime/file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { ShutdownGroup } from "@couchestor/common/runtime/shutdown.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { openZonedFile } from "@couchestor/native-ffi/zoned/zoned-file.ts";
import { isZonedDevice } from "@couchestor/native-ffi/zoned/zoned-limits.ts";
import type { AgentConfig } from "../config.ts";
import { claimedDevice } from "../devices/claimed-device.ts";
import type { IoErrorCounts } from "../devices/health/io-errors.ts";
import { PoolIdentities } from "../pools/identities.ts";
import { poolOpener } from "../pools/open-pool.ts";
import { PoolRegistry } from "../pools/pool-registry.ts";
import { spdkMedia } from "../pools/spdk-adapter.ts";
import type { Log } from "../ports.ts";
import type { DeviceLatencies } from "../store/io-latency.ts";
import { inspectParts } from "./devices.ts";

export interface OpenPoolsParts {
  clock: Clock;
  prng: Prng;
  log: Log;
  fileSystem: FileSystem;
  checksum: Checksum;
  /** Takes note of what fails on devices. */
  ioErrors: IoErrorCounts;
  /** Takes note of how long devices take. */
  ioLatencies: DeviceLatencies;
}

const poolsLookEveryMs = 1_000;
/** A pool that takes longer to open (a big one without a snapshot, a disk that hangs) is awaited in the background. */
const poolsOpenWaitMs = 30_000;

/** Opens them. A pool that fails is tried again in the background, and keeps nothing else from starting. */
export async function openPools(
  config: AgentConfig,
  parts: OpenPoolsParts,
  shutdown: ShutdownGroup,
): Promise<PoolRegistry> {
  const { clock, log, ioErrors, ioLatencies } = parts;
  const identities = new PoolIdentities(config.dataDir);
  await identities.load();
  const look = inspectParts(parts.checksum, parts.clock);
  const claimed = (wanted: Parameters<typeof claimedDevice>[1]) => claimedDevice(look, wanted);
  const open = poolOpener({
    ...parts,
    nodeName: config.nodeName,
    openDevice: async (path) => ioErrors.counting(path, await openDirectFile(path, { latency: ioLatencies.of(path) })),
    zoned: {
      isZoned: isZonedDevice,
      open: async (path) => ioErrors.counting(path, await openZonedFile(path, { latency: ioLatencies.of(path) })),
    },
    claimedDevice: claimed,
    userSpace: userSpace(config, parts),
  });
  const pools = new PoolRegistry({ nodeName: config.nodeName, specs: config.pools, open, identities, clock, log });
  shutdown.add("pools", 30_000, () => pools.close());
  const stop = new AbortController();
  await Promise.race([pools.start(), clock.sleep(poolsOpenWaitMs, stop.signal).catch(() => undefined)]);
  const maintaining = (async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(poolsLookEveryMs, stop.signal).catch(() => undefined);
      if (!stop.signal.aborted) void pools.maintain();
    }
  })();
  shutdown.add("pools/maintenance", 5_000, () => {
    stop.abort();
    return maintaining;
  });
  return pools;
}

/** The driver in user space, where one is asked for. It is started with the agent, so that what is missing is told at once. */
function userSpace(config: AgentConfig, { clock, fileSystem }: OpenPoolsParts) {
  const { ioEngine: engine, ioEngineOptions: driverOptions, dataDir } = config;
  if (engine === "libaio") return undefined;
  return spdkMedia({ engine, driverOptions, lockFolder: join(dataDir, "namespaces"), clock, fileSystem });
}
