import { describe, expect, test } from "bun:test";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { sampledGauges } from "@couchestor/common/observe/sampled-gauge.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { Registry } from "prom-client";
import type { Device } from "../model.ts";
import type { SysFile } from "../ports.ts";
import type { SmartReading } from "../smart/reading.ts";
import { SmartReadError, type SmartReader, type SmartTarget } from "../smart/smart-reader.ts";
import { HealthMonitor } from "./health-monitor.ts";
import { addDeviceHealthMetrics } from "./metrics.ts";
import type { PoolDevices } from "./pool-devices.ts";
import { onlinePool } from "./testing/pool-info.ts";

const good: SmartReading = {
  protocol: "nvme",
  passed: true,
  warnings: [],
  temperatureCelsius: 50,
  wearRatio: 0.1,
  mediaErrors: 0,
  notReported: [],
  problems: [],
};
const readOnly: SmartReading = {
  ...good,
  passed: false,
  warnings: [{ code: "read-only", text: "the medium has become read-only", level: "failing" }],
};

function device(name: string, extra: Partial<Device> = {}): Device {
  return {
    id: `id-${name}`,
    idStable: true,
    path: `/dev/${name}`,
    name,
    sysPath: `/sys/${name}`,
    deviceNumber: "259:0",
    byId: [],
    readOnly: false,
    removable: false,
    transport: "pcie",
    zoned: "none",
    capacityBytes: 1e9,
    logicalBlockBytes: 512,
    physicalBlockBytes: 512,
    tier: "hot",
    tierReason: "NVMe",
    inUse: [],
    problems: [],
    nvme: { controllers: [`/dev/${name.replace(/n\d+$/, "")}`], namespaceId: 1 },
    ...extra,
  };
}

class Scene implements SmartReader {
  readonly clock = new FakeClock();
  readonly asked: string[] = [];
  readonly logged: string[] = [];
  readonly stats = new Map<string, string>();
  pools: PoolInfo[] = [];
  ioErrors: number | undefined;
  answer: (target: SmartTarget) => SmartReading | Promise<SmartReading> = () => good;
  readonly monitor: HealthMonitor;

  constructor(poolDevices?: Pick<PoolDevices, "look" | "diskOf">) {
    const note = (fields: object): void => void this.logged.push(`${"state" in fields ? fields.state : ""}`);
    const log = { debug: note, info: note, warn: note, error: note };
    const read = async (path: string): Promise<SysFile> => {
      const text = this.stats.get(path.split("/")[3] ?? "");
      return text === undefined ? { state: "missing" } : { state: "read", bytes: Buffer.from(text) };
    };
    this.monitor = new HealthMonitor({
      clock: this.clock,
      log,
      reader: this,
      tree: { read },
      pools: () => this.pools,
      ioErrors: (path) => (path === "/dev/nvme0n1" ? this.ioErrors : undefined),
      ...(poolDevices === undefined ? {} : { poolDevices }),
    });
  }

  async read(target: SmartTarget): Promise<SmartReading> {
    this.asked.push(target.path);
    return this.answer(target);
  }

  /** The disk has done so much in all, taking so long, has so many operations under way, and has done so many discards. */
  did(name: string, operations: number, ms: number, inFlight = 0, discards = 0): void {
    this.stats.set(name, [operations, 0, 0, ms, 0, 0, 0, 0, inFlight, 0, 0, discards, 0, 0, 0, 0, 0].join(" "));
  }

  async look(passMs: number): Promise<void> {
    await this.clock.advance(passMs);
    await this.monitor.look();
  }

  state(name: string): string | undefined {
    return this.monitor.healthOf(`id-${name}`)?.state;
  }
}

describe("health monitor", () => {
  test("unknown until looked at, then what the device says; one set of records for the namespaces of a controller", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("nvme0n1"), device("nvme0n2"), device("nvme1n1")]);
    expect(scene.monitor.healthOf("id-nvme0n1")).toEqual({ state: "Unknown", reasons: ["not looked at yet"] });
    await scene.monitor.look();
    expect(scene.asked.toSorted()).toEqual(["/dev/nvme0", "/dev/nvme1"]);
    expect(scene.monitor.healthOf("id-nvme0n2")).toEqual({
      state: "Healthy",
      reasons: [],
      temperatureCelsius: 50,
      wearRatio: 0.1,
      mediaErrors: 0,
    });
    await scene.look(30_000);
    expect(scene.asked.length).toBe(2);
    await scene.look(31_000);
    expect(scene.asked.length).toBe(4);
    expect(scene.monitor.healthOf("id-other")).toBeUndefined();
  });

  test("failing is told with its reason, logged once, and ends only after its time", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("nvme0n1")]);
    await scene.monitor.look();
    scene.answer = () => readOnly;
    await scene.look(61_000);
    expect(scene.monitor.healthOf("id-nvme0n1")).toMatchObject({
      state: "Failing",
      reasons: ["the medium has become read-only"],
    });
    scene.answer = () => good;
    await scene.look(61_000);
    expect(scene.state("nvme0n1")).toBe("Failing");
    await scene.look(3_600_000);
    expect(scene.state("nvme0n1")).toBe("Healthy");
    expect(scene.logged).toEqual(["Failing", "Healthy"]);
  });

  test("a look that fails changes no verdict: not to know is neither healthy nor failing", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("nvme0n1"), device("nvme1n1")]);
    scene.answer = ({ path }) => {
      if (path === "/dev/nvme1")
        throw new SmartReadError("no-permission", "/dev/nvme1: no permission to ask for its health");
      return readOnly;
    };
    await scene.monitor.look();
    expect(scene.monitor.healthOf("id-nvme1n1")).toEqual({
      state: "Unknown",
      reasons: ["/dev/nvme1: no permission to ask for its health"],
    });
    scene.answer = () => {
      throw new SmartReadError("silent", "did not answer");
    };
    await scene.look(61_000);
    expect(scene.state("nvme0n1")).toBe("Failing");
  });

  test("devices that keep no records, or report nothing in them, are not called healthy", async () => {
    const scene = new Scene();
    const { nvme: _, ...virtual } = device("vda", { transport: "virtio" });
    scene.monitor.observe([virtual, device("nvme0n1")]);
    scene.answer = () => ({ protocol: "scsi", warnings: [], notReported: ["log pages"], problems: [] });
    await scene.monitor.look();
    expect(scene.monitor.healthOf("id-vda")).toEqual({ state: "Unknown", reasons: ["keeps no health records"] });
    expect(scene.monitor.healthOf("id-nvme0n1")?.reasons).toEqual([
      "reports nothing of its health (log pages: not there)",
    ]);
  });

  test("a device that is pulled is Gone, comes back under another name as itself, and is forgotten after a day", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("nvme0n1")]);
    await scene.monitor.look();
    scene.monitor.observe([]);
    expect(scene.monitor.healthOf("id-nvme0n1")).toMatchObject({
      state: "Gone",
      reasons: ["/dev/nvme0n1 is no longer there"],
    });
    scene.monitor.observe([{ ...device("nvme7n1"), id: "id-nvme0n1" }]);
    await scene.monitor.look();
    expect(scene.state("nvme0n1")).toBe("Healthy");
    expect(scene.monitor.all()[0]?.device.path).toBe("/dev/nvme7n1");
    scene.monitor.observe([]);
    await scene.clock.advance(25 * 3_600_000);
    scene.monitor.observe([]);
    expect(scene.monitor.all()).toEqual([]);
  });

  test("one that the system still lists but that answers nobody is Gone until it answers", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("sda")]);
    scene.answer = () => {
      throw new SmartReadError("gone", "/dev/sda: there is no such device any more");
    };
    await scene.monitor.look();
    scene.monitor.observe([device("sda")]);
    expect(scene.state("sda")).toBe("Gone");
    scene.answer = () => good;
    await scene.look(61_000);
    expect(scene.state("sda")).toBe("Healthy");
  });

  test("operations that stay under way while nothing is finished make it failing", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("nvme0n1")]);
    scene.did("nvme0n1", 100, 50);
    await scene.monitor.look();
    scene.did("nvme0n1", 200, 100, 4);
    await scene.look(10_000);
    for (let i = 0; i < 5; i++) await scene.look(10_000);
    expect(scene.state("nvme0n1")).toBe("Healthy");
    await scene.look(10_000);
    expect(scene.monitor.healthOf("id-nvme0n1")).toMatchObject({
      state: "Failing",
      reasons: ["has finished nothing for 60 s with operations under way"],
    });
  });

  test("a folder whose disk hangs keeps no device from being looked at", async () => {
    const scene = new Scene({ look: () => new Promise(() => undefined), diskOf: () => undefined });
    scene.monitor.observe([device("nvme0n1")]);
    scene.monitor.start();
    for (let i = 0; i < 10; i++) {
      scene.did("nvme0n1", 100, 50, i === 0 ? 0 : 4);
      await scene.clock.advance(10_000);
    }
    expect(scene.state("nvme0n1")).toBe("Failing");
    await scene.monitor.stop();
    await scene.clock.advance(1_000);
    expect(scene.clock.pending).toBe(0);
  });

  test("a disk that does nothing but discards, as fstrim orders them, does not hang", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("nvme0n1")]);
    await scene.monitor.look();
    for (let i = 0; i < 12; i++) {
      scene.did("nvme0n1", 100, 50, 4, i);
      await scene.look(10_000);
    }
    expect(scene.state("nvme0n1")).toBe("Healthy");
  });

  test("a disk that is far slower than its peers wears; idle times neither accuse nor clear it", async () => {
    const scene = new Scene();
    const names = ["nvme0n1", "nvme1n1", "nvme2n1"];
    scene.monitor.observe(names.map((name) => device(name)));
    await scene.monitor.look();
    for (let i = 1; i <= 9; i++) {
      for (const name of names) scene.did(name, i * 1000, i * (name === "nvme1n1" ? 60_000 : 1_000));
      await scene.look(10_000);
    }
    expect(names.map((name) => scene.state(name))).toEqual(["Healthy", "Wearing", "Healthy"]);
    expect(scene.monitor.healthOf("id-nvme1n1")?.reasons[0]).toContain("60 ms, with the other disks 1.0 ms");
    for (let i = 0; i < 120; i++) await scene.look(10_000);
    expect(scene.state("nvme1n1")).toBe("Wearing");
  });

  test("the pool on it: stopped writes and failed operations count for the device that carries it", async () => {
    const scene = new Scene();
    const { poolUuid, poolName, clusterUuid } = onlinePool;
    const label = { poolUuid, poolName, clusterUuid, nodeName: "", kind: "block" as const };
    scene.monitor.observe([device("nvme0n1", { label }), device("nvme1n1")]);
    scene.pools = [onlinePool];
    scene.ioErrors = 3;
    await scene.monitor.look();
    expect(scene.state("nvme0n1")).toBe("Healthy");
    scene.ioErrors = 4;
    await scene.look(10_000);
    expect(scene.state("nvme0n1")).toBe("Wearing");
    scene.pools = [{ ...onlinePool, state: "ReadOnly", reason: "write: EIO" }];
    await scene.look(10_000);
    expect(scene.monitor.healthOf("id-nvme0n1")).toMatchObject({
      state: "Failing",
      reasons: ["pool p1 on it is ReadOnly: write: EIO", "1 reads or writes failed within a day"],
    });
    expect(scene.state("nvme1n1")).toBe("Healthy");
  });

  test("the loop asks on its own, goes on past a device that hangs, and stops", async () => {
    const scene = new Scene();
    scene.monitor.observe([device("nvme0n1"), device("nvme1n1")]);
    scene.answer = ({ path }) => (path === "/dev/nvme0" ? new Promise<SmartReading>(() => undefined) : good);
    scene.monitor.start();
    await scene.clock.advance(130_000);
    expect(scene.asked.filter((path) => path === "/dev/nvme1").length).toBe(3);
    expect(scene.asked.filter((path) => path === "/dev/nvme0").length).toBe(1);
    await scene.monitor.stop();
    const { length } = scene.asked;
    await scene.clock.advance(130_000);
    expect(scene.asked.length).toBe(length);
  });
});

test("metrics: a series for each figure that is reported, and none for one that is not", async () => {
  const scene = new Scene();
  const registry = new Registry();
  addDeviceHealthMetrics(sampledGauges([registry]), () => scene.monitor.all());
  scene.monitor.observe([device("nvme0n1")]);
  expect(await registry.metrics()).toContain(
    'couchestor_device_health_state{device="id-nvme0n1",path="/dev/nvme0n1",state="Unknown"} 1',
  );
  await scene.monitor.look();
  const text = await registry.metrics();
  expect(text).toContain('couchestor_device_temperature_celsius{device="id-nvme0n1",path="/dev/nvme0n1"} 50');
  expect(text).toContain('couchestor_device_wear_ratio{device="id-nvme0n1",path="/dev/nvme0n1"} 0.1');
  expect(text).toContain('couchestor_device_media_errors_total{device="id-nvme0n1",path="/dev/nvme0n1"} 0');
  expect(text).toContain('state="Healthy"} 1');
  expect(text).not.toContain("couchestor_device_spare_ratio{");
});
