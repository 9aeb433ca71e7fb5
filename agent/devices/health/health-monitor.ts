/**
 * Watches the health of a node's devices: their own records once a minute, the kernel's counts of their operations and the pools on them every ten
 * seconds. Which devices there are it is told by `observe`.
 */
import type { DeviceHealth } from "@couchestor/common/api/devices.ts";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Log } from "../../ports.ts";
import type { Device } from "../model.ts";
import type { SysTree } from "../ports.ts";
import { SmartReadError, type SmartReader, type SmartTarget } from "../smart/smart-reader.ts";
import { type IoStat, parseIoStat } from "./io-stat.ts";
import { slowDevices } from "./latency.ts";
import { type HealthLimits, healthLimits } from "./limits.ts";
import type { PoolDevices } from "./pool-devices.ts";
import { targetOf, WatchedDevice } from "./watched-device.ts";

export interface HealthParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly reader: SmartReader;
  readonly tree: Pick<SysTree, "read">;
  /** The node's open pools. */
  pools(): readonly PoolInfo[];
  /** Operations of ours that have failed on the device at a path; undefined for one that none of our pools is on. */
  ioErrors?(path: string): number | undefined;
  /** The disks under pools that are no devices themselves. */
  readonly poolDevices?: Pick<PoolDevices, "look" | "diskOf">;
}

export interface HealthOptions {
  readonly limits?: HealthLimits;
  readonly smartEveryMs?: number;
  readonly ioEveryMs?: number;
  /** How long a device that is gone is still told of. */
  readonly goneKeptMs?: number;
}

export interface WatchedHealth {
  readonly device: Device;
  readonly health: DeviceHealth;
}

const lookEveryMs = 1_000;
const statBytesMax = 4096;
const poolLookMsMax = 1_000;

export class HealthMonitor {
  readonly #parts: HealthParts;
  readonly #options: Required<HealthOptions>;
  readonly #watched = new Map<string, WatchedDevice>();
  readonly #told = new Map<string, DeviceHealth["state"]>();
  readonly #stop = new AbortController();
  readonly #asking = new Set<Promise<void>>();
  #running: Promise<void> | undefined;
  #ioDueMs = 0;

  constructor(parts: HealthParts, options: HealthOptions = {}) {
    this.#parts = parts;
    const { limits = healthLimits, smartEveryMs = 60_000, ioEveryMs = 10_000, goneKeptMs = 24 * 3_600_000 } = options;
    this.#options = { limits, smartEveryMs, ioEveryMs, goneKeptMs };
  }

  /** These are the devices now. One that is not among them any more is Gone; one that came back is not. */
  observe(devices: readonly Device[]): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const there = new Map(devices.map((device) => [device.id, device]));
    for (const [id, device] of there) {
      const known = this.#watched.get(id);
      if (known) known.isThere(device);
      else this.#watched.set(id, new WatchedDevice(device, this.#options.limits));
    }
    for (const [id, watched] of this.#watched) {
      if (there.has(id)) continue;
      watched.isGone(`${watched.device.path} is no longer there`, nowMs, false);
      const isOld = nowMs - (watched.goneSinceMs ?? nowMs) > this.#options.goneKeptMs;
      if (isOld) this.#watched.delete(id);
    }
    this.#tell();
  }

  /** Undefined for a device that was never observed. */
  healthOf(id: string): DeviceHealth | undefined {
    return this.#watched.get(id)?.health();
  }

  /** Every device that is there, or was lately. */
  all(): WatchedHealth[] {
    return [...this.#watched.values()].map((watched) => ({ device: watched.device, health: watched.health() }));
  }

  /** The pools, each with the device that all of its data lies on, where that is known. */
  withDevices(pools: readonly PoolInfo[]): PoolInfo[] {
    return pools.map((pool) => {
      const deviceId = [...this.#watched.values()].find((watched) => this.#carries(watched, pool))?.device.id;
      return deviceId === undefined ? pool : { ...pool, deviceId };
    });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Waits for what is being read, but not for devices that do not answer: close their reader. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Starts whatever is due now, and waits for the answers of this look. */
  async look(): Promise<void> {
    const nowMs = this.#parts.clock.monotonicMs();
    const looks: Promise<void>[] = [...this.#askDue(nowMs)];
    if (nowMs >= this.#ioDueMs) {
      this.#ioDueMs = nowMs + this.#options.ioEveryMs;
      looks.push(this.#lookAtIo());
    }
    await Promise.all(looks);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    while (!this.#stop.signal.aborted) {
      // A device that takes long to answer must not keep the others from being looked at, so the look is not waited for.
      const look = this.look()
        .catch((error) => log.error({ error: String(error) }, "a look at the devices' health failed"))
        .finally(() => this.#asking.delete(look));
      this.#asking.add(look);
      await clock.sleep(lookEveryMs, this.#stop.signal).catch(() => undefined);
    }
  }

  /** Several namespaces of one controller have one set of records, which is read once. */
  #askDue(nowMs: number): Promise<void>[] {
    const groups = new Map<string, { target: SmartTarget; devices: WatchedDevice[] }>();
    for (const watched of this.#watched.values()) {
      const target = targetOf(watched.device);
      if (target === undefined || watched.asking || watched.dueMs > nowMs) continue;
      const group = groups.get(target.path) ?? { target, devices: [] };
      group.devices.push(watched);
      groups.set(target.path, group);
    }
    return [...groups.values()].map((group) => this.#ask(group.target, group.devices));
  }

  async #ask(target: SmartTarget, devices: readonly WatchedDevice[]): Promise<void> {
    const { clock, reader } = this.#parts;
    for (const watched of devices) {
      watched.asking = true;
      watched.dueMs = clock.monotonicMs() + this.#options.smartEveryMs;
    }
    try {
      const reading = await reader.read(target);
      for (const watched of devices) watched.read(reading, clock.monotonicMs());
    } catch (error) {
      const isGone = error instanceof SmartReadError && error.failure === "gone";
      const why = error instanceof Error ? error.message : String(error);
      for (const watched of devices) {
        if (isGone) watched.isGone(why, clock.monotonicMs(), true);
        else watched.unreadable(why);
      }
    } finally {
      for (const watched of devices) watched.asking = false;
      this.#tell();
    }
  }

  #carries({ device }: WatchedDevice, { poolUuid, poolName }: PoolInfo): boolean {
    if (device.label !== undefined) return device.label.poolUuid === poolUuid;
    return this.#parts.poolDevices?.diskOf(poolName) === device.name;
  }

  async #lookAtIo(): Promise<void> {
    const { clock, ioErrors } = this.#parts;
    await this.#lookAtPoolDevices();
    const there = [...this.#watched.values()].filter(({ goneSinceMs }) => goneSinceMs === undefined);
    const stats = await Promise.all(there.map(({ device }) => this.#stat(device.name)));
    const nowMs = clock.monotonicMs();
    const samples = there.flatMap((watched, i) => watched.io(stats[i], nowMs) ?? []);
    const { slow, idle } = slowDevices(samples);
    const sampled = new Set(samples.map(({ id }) => id));
    const pools = this.#parts.pools();
    for (const watched of there) {
      const { id, path } = watched.device;
      watched.slow(slow.get(id), idle.has(id) || !sampled.has(id), nowMs);
      const here = pools.filter((pool) => this.#carries(watched, pool));
      const worst = here.find(({ state }) => state === "ReadOnly" || state === "Failed") ?? here[0];
      watched.pool(worst, ioErrors?.call(this.#parts, path), nowMs);
    }
    this.#tell();
  }

  /** Not longer than a moment: a folder on a disk that hangs answers when the disk does. */
  async #lookAtPoolDevices(): Promise<void> {
    const { clock, poolDevices } = this.#parts;
    if (poolDevices === undefined) return;
    const answered = new AbortController();
    const moment = clock.sleep(poolLookMsMax, answered.signal).catch(() => undefined);
    await Promise.race([poolDevices.look(), moment]);
    answered.abort();
  }

  async #stat(name: string): Promise<IoStat | undefined> {
    const file = await this.#parts.tree.read(`/sys/block/${name}/stat`, statBytesMax);
    return file.state === "read" ? parseIoStat(Buffer.from(file.bytes).toString("latin1")) : undefined;
  }

  /** Logs verdicts that have changed. */
  #tell(): void {
    for (const [id, watched] of this.#watched) {
      const { state, reasons } = watched.health();
      const before = this.#told.get(id);
      if (before === state) continue;
      this.#told.set(id, state);
      const fields = { device: id, path: watched.device.path, state, before, reasons };
      if (state === "Failing" || state === "Gone" || state === "Wearing")
        this.#parts.log.warn(fields, "a device needs attention");
      else if (before !== undefined && before !== "Unknown") this.#parts.log.info(fields, "a device is well again");
    }
    for (const id of this.#told.keys()) if (!this.#watched.has(id)) this.#told.delete(id);
  }
}
