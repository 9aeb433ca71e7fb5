/** The devices of this node, wired: the list kept up to date, the health of each, and the claimed ones for pools. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { ShutdownGroup } from "@couchestor/common/runtime/shutdown.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { systemDeviceNodes } from "../devices/device-nodes-adapter.ts";
import { HealthMonitor } from "../devices/health/health-monitor.ts";
import type { IoErrorCounts } from "../devices/health/io-errors.ts";
import { PoolDevices } from "../devices/health/pool-devices.ts";
import type { InspectParts } from "../devices/inspect.ts";
import { DeviceMonitor } from "../devices/monitor.ts";
import { patientNodes } from "../devices/patient-nodes.ts";
import { WorkerSmartReader } from "../devices/smart/worker-reader.ts";
import { systemTree } from "../devices/sys-tree.ts";
import type { PoolRegistry } from "../pools/pool-registry.ts";
import type { PoolSpec } from "../pools/pool-spec.ts";
import type { Log } from "../ports.ts";

export interface NodeDevices {
  monitor: DeviceMonitor;
  health: HealthMonitor;
}

/** What looking at devices needs of this machine. */
export function inspectParts(checksum: Checksum, clock: Clock): InspectParts {
  return { tree: systemTree(), nodes: patientNodes(systemDeviceNodes(), clock), checksum };
}

/** Starts looking, in the background: an agent is ready whatever its disks do. Stops with the agent. */
export function startDevices(
  parts: InspectParts & { clock: Clock; log: Log; ioErrors: IoErrorCounts; specs: readonly PoolSpec[] },
  pools: PoolRegistry,
  shutdown: ShutdownGroup,
): NodeDevices {
  const { clock, log, tree } = parts;
  const reader = new WorkerSmartReader(clock);
  const ioErrors = (path: string) => parts.ioErrors.of(path);
  const poolDevices = new PoolDevices(tree, parts.specs);
  const health = new HealthMonitor({ clock, log, reader, tree, pools: () => pools.infos(), ioErrors, poolDevices });
  const monitor = new DeviceMonitor(parts);
  monitor.onLook((devices) => health.observe(devices));
  monitor.start();
  health.start();
  shutdown.add("devices", 5_000, async () => {
    await monitor.stop();
    reader.close();
    await health.stop();
  });
  return { monitor, health };
}
