/**
 * Keeps the list of devices up to date without udev: every two seconds the names, sizes and sequence numbers in sysfs are compared with those of
 * the look before, and only what is new or changed is looked at closely. Disks that nothing happened to are left to sleep.
 */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Log } from "../ports.ts";
import { discover, inLanes } from "./discover.ts";
import { type InspectParts, inspect } from "./inspect.ts";
import type { Device, Inventory } from "./model.ts";
import { readUsage, type Usage, usesOf } from "./usage.ts";

export interface MonitorParts extends InspectParts {
  clock: Clock;
  log: Log;
}

export interface MonitorOptions {
  /** Between two comparisons: what is plugged in or pulled out is noticed within this. */
  pollEveryMs?: number;
  /** Between two looks at mounts, swap and holders. */
  usageEveryMs?: number;
  /** Between two looks at what is on a device that nothing seems to happen to. */
  inspectEveryMs?: number;
  /** The same of a device that carries a pool, or that could not be looked at. */
  inspectOursEveryMs?: number;
}

/** Called after each look with all devices there are. */
export type MonitorListener = (devices: readonly Device[]) => void;

interface Known {
  device: Device;
  fingerprint: string;
  /** What sysfs says of its use, as of the last close look. */
  uses: string;
  inspectedMs: number;
}

const lanes = 8;

export class DeviceMonitor {
  readonly #parts: MonitorParts;
  readonly #options: Required<MonitorOptions>;
  readonly #listeners: MonitorListener[] = [];
  readonly #stop = new AbortController();
  #known = new Map<string, Known>();
  /** What changes when a name comes to mean another device, or the device another size. Of everything in /sys/block, listed or passed over. */
  #prints = new Map<string, string>();
  #problems = "";
  #skipped: Inventory["skipped"] = [];
  #usageDueMs = 0;
  #running: Promise<void> | undefined;
  #isFirst = true;

  constructor(parts: MonitorParts, options: MonitorOptions = {}) {
    const {
      pollEveryMs = 2_000,
      usageEveryMs = 15_000,
      inspectEveryMs = 600_000,
      inspectOursEveryMs = 60_000,
    } = options;
    this.#parts = parts;
    this.#options = { pollEveryMs, usageEveryMs, inspectEveryMs, inspectOursEveryMs };
  }

  /** As of the last look, in the order of their names. */
  devices(): readonly Device[] {
    return [...this.#known.values()].map(({ device }) => device);
  }

  skipped(): Inventory["skipped"] {
    return this.#skipped;
  }

  onLook(listener: MonitorListener): void {
    this.#listeners.push(listener);
  }

  /** Looks at once, and then every `pollEveryMs`. */
  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** One look. Never throws. */
  async look(): Promise<void> {
    const { tree, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    let prints: Map<string, string>;
    try {
      prints = await this.#fingerprints();
    } catch (error) {
      // Not to see them is not to see them gone: what is known stays until there is another look.
      this.#tellProblems([`/sys/block can't be read: ${(error as { code?: string }).code ?? String(error)}`]);
      return;
    }
    const before = this.#prints;
    const isSame = prints.size === before.size && [...prints].every(([name, print]) => before.get(name) === print);
    if (!isSame || nowMs >= this.#usageDueMs) {
      const [inventory, usage] = await Promise.all([discover(tree), readUsage(tree)]);
      this.#tellProblems([...inventory.problems, ...usage.problems]);
      // Of names that there are each is told as a device or as passed over, unless the list could not be read this time.
      if (prints.size > 0 && inventory.devices.length + inventory.skipped.length === 0) return;
      await this.#update(inventory, prints, usage, nowMs);
      this.#usageDueMs = nowMs + this.#options.usageEveryMs;
      this.#skipped = inventory.skipped;
    }
    for (const listener of this.#listeners) listener(this.devices());
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    while (!this.#stop.signal.aborted) {
      await this.look().catch((error) => log.error({ err: error }, "a look at the devices failed"));
      await clock.sleep(this.#options.pollEveryMs, this.#stop.signal).catch(() => undefined);
    }
  }

  /** Throws `FileSystemError` if there is no telling which devices there are. */
  async #fingerprints(): Promise<Map<string, string>> {
    const { tree } = this.#parts;
    const names = await tree.list("/sys/block");
    const text = async (path: string): Promise<string> => {
      const file = await tree.read(path);
      return file.state === "read" ? new TextDecoder().decode(file.bytes).trim() : file.state;
    };
    const prints = await inLanes(names, lanes, async (name): Promise<[string, string]> => {
      const at = `/sys/block/${name}`;
      const [target, number, size, sequence, writes] = await Promise.all([
        tree.resolve(at),
        text(`${at}/dev`),
        text(`${at}/size`),
        text(`${at}/diskseq`),
        this.#isIdle(name) ? text(`${at}/stat`).then(writesOf) : "",
      ]);
      return [name, `${target} ${number} ${size} ${sequence} ${writes}`];
    });
    return new Map(prints);
  }

  /** Nobody known writes to it: who does, puts something on it that is to be known. */
  #isIdle(name: string): boolean {
    const kind = this.#known.get(name)?.device.inUse[0]?.kind;
    return kind === undefined || kind === "content";
  }

  async #update(inventory: Inventory, prints: Map<string, string>, usage: Usage, nowMs: number): Promise<void> {
    const { tree } = this.#parts;
    const next = await inLanes(inventory.devices, lanes, async (device): Promise<Known> => {
      const fingerprint = prints.get(device.name) ?? "";
      const uses = JSON.stringify(await usesOf(tree, device, usage));
      const known = this.#known.get(device.name);
      const isSame = known !== undefined && known.fingerprint === fingerprint && known.device.id === device.id;
      if (isSame && known.uses === uses && nowMs - known.inspectedMs < this.#inspectAfterMs(known)) return known;
      return { device: await inspect(this.#parts, device, usage), fingerprint, uses, inspectedMs: nowMs };
    });
    this.#tellChanges(next.map(({ device }) => device));
    this.#known = new Map(next.map((known) => [known.device.name, known]));
    this.#prints = prints;
    this.#isFirst = false;
  }

  #inspectAfterMs({ device }: Known): number {
    const { usageEveryMs, inspectEveryMs, inspectOursEveryMs } = this.#options;
    const [first] = device.inUse;
    // Who has it open exclusively tells nobody when he lets go of it.
    if (first?.what === "opened") return usageEveryMs;
    return first?.kind === "ours" || first?.kind === "unfit" ? inspectOursEveryMs : inspectEveryMs;
  }

  #tellChanges(next: readonly Device[]): void {
    const { log } = this.#parts;
    const before = new Map(this.devices().map((device) => [device.id, device]));
    const fields = ({ id, path, model, serial, transport, capacityBytes, inUse }: Device) => {
      return { device: id, path, model, serial, transport, capacityBytes, state: inUse[0]?.detail ?? "free" };
    };
    if (this.#isFirst) log.info(summary(next), "devices found");
    for (const device of next) {
      const old = before.get(device.id);
      before.delete(device.id);
      if (old === undefined && this.#isFirst) log.debug(fields(device), "a device is there");
      else if (old === undefined) log.info(fields(device), "a device has appeared");
      else if (old.path !== device.path)
        log.info({ ...fields(device), was: old.path }, "a device has another name now");
    }
    for (const device of before.values()) log.warn(fields(device), "a device is gone");
  }

  /** Once, not at every look. */
  #tellProblems(problems: readonly string[]): void {
    const text = problems.join("; ");
    if (text !== this.#problems && text !== "")
      this.#parts.log.warn({ problems }, "devices can't be looked at as they should");
    this.#problems = text;
  }
}

function summary(devices: readonly Device[]) {
  const count = (kind: string) => devices.filter(({ inUse }) => (inUse[0]?.kind ?? "free") === kind).length;
  return {
    devices: devices.length,
    free: count("free"),
    ours: count("ours"),
    inUse: count("active") + count("content"),
  };
}

/** Writes and discards completed, of the kernel's counts (Documentation/block/stat.rst). */
function writesOf(stat: string): string {
  const counts = stat.trim().split(/\s+/);
  return `${counts[4] ?? 0} ${counts[11] ?? 0}`;
}
