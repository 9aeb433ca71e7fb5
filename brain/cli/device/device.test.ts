import { beforeEach, describe, expect, test } from "bun:test";
import type { ClaimAnswer, LocalDevice, LocalDevices } from "@couchestor/common/api/local-devices.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeCluster } from "../testing/fake-cluster.ts";
import { run } from "../testing/run.ts";
import { sampleNodes } from "../testing/samples.ts";

const gib = 2 ** 30;

function disk(more: Partial<LocalDevice> = {}): LocalDevice {
  return {
    id: "wwn-0x5000c50000000001",
    idStable: true,
    name: "sda",
    path: "/dev/sda",
    sysPath: "/sys/devices/pci0000:00/0000:00:05.0/ata1/host0/target0:0:0/0:0:0:0/block/sda",
    deviceNumber: "8:0",
    byId: [],
    model: "LAB-SATA-HDD",
    serial: "SATA0001",
    transport: "sata",
    rotational: true,
    zoned: "none",
    capacityBytes: 512 * gib,
    logicalBlockBytes: 512,
    physicalBlockBytes: 4096,
    readOnly: false,
    removable: false,
    tier: "cold",
    tierReason: "a rotating disk",
    inUse: [],
    problems: [],
    health: { state: "Healthy", reasons: [], temperatureCelsius: 31.2, reallocatedSectors: 0, powerOnHours: 10 },
    ...more,
  };
}

const mounted = { kind: "active" as const, what: "mounted", detail: "/dev/nvme0n1p1 is mounted at /" };
const nvme = disk({
  id: "nvme-eui.0025385b21404321",
  path: "/dev/nvme0n1",
  model: "Fast 1",
  transport: "pcie",
  rotational: false,
  tier: "hot",
  inUse: [mounted],
  health: {
    state: "Failing",
    reasons: ["spare 3 % is below its threshold of 10 %"],
    spareRatio: 0.03,
    spareThresholdRatio: 0.1,
    wearRatio: 1.02,
  },
});
const label = {
  poolUuid: "11111111-1111-4111-8111-111111111111",
  poolName: "slow",
  nodeName: "n1",
  clusterUuid: "00000000-0000-0000-0000-000000000000",
  kind: "block" as const,
};

/** A machine with two disks, which remembers what it was asked to do. */
class FakeDevices implements LocalDevices {
  readonly did: string[] = [];
  devices = [disk(), nvme];
  problems: string[] = [];
  refusal: AppError | undefined;
  segments = 0;
  closed = 0;

  async list() {
    return { devices: this.devices, skipped: [], problems: this.problems };
  }
  async health(id: string) {
    const device = this.devices.find((other) => other.id === id);
    if (device?.health === undefined) throw new AppError("NotFound", `device ${id} is not there`);
    return { device, health: device.health };
  }
  async claim(id: string, order: object, { dryRun }: { dryRun: boolean }): Promise<ClaimAnswer> {
    if (this.refusal !== undefined) throw this.refusal;
    if (!dryRun) this.did.push(`claim ${id} ${JSON.stringify(order)}`);
    return {
      device: disk(),
      action: "format",
      label,
      erases: ["it holds an XFS file system"],
      steps: ["write the label"],
    };
  }
  async release(id: string, destroyData: boolean, { dryRun }: { dryRun: boolean }) {
    if (!dryRun) this.did.push(`release ${id} ${destroyData}`);
    return { device: disk(), label, steps: ["erase the label"], segments: this.segments };
  }
  async blink(id: string, { forMs, activity }: { forMs: number; activity: boolean }) {
    this.did.push(`blink ${id} ${forMs} ${activity}`);
    return { by: "the locate light" };
  }
  close() {
    this.closed++;
  }
}

let devices: FakeDevices;
beforeEach(() => {
  devices = new FakeDevices();
});
const device = (...argv: string[]) => run(["device", ...argv], { devices });
const sata = "wwn-0x5000c50000000001";

describe("looking", () => {
  test("list shows what each disk is, its health, and why it may not be used; --free leaves the used out", async () => {
    const { code, stdout } = await device("list");
    expect(code).toBe(0);
    expect(stdout).toBe(
      `DEVICE                     PATH             SIZE  MEDIA     MODEL         TIER  HEALTH         STATE
wwn-0x5000c50000000001     /dev/sda      512 GiB  hdd sata  LAB-SATA-HDD  cold  Healthy 31 °C  free
nvme-eui.0025385b21404321  /dev/nvme0n1  512 GiB  ssd pcie  Fast 1        hot   Failing        /dev/nvme0n1p1 is mounted at /
`,
    );
    const free = (await device("list", "--free", "--json")).json<{ devices: { id: string }[] }>();
    expect(free.devices.map(({ id }) => id)).toEqual([sata]);
    expect(devices.closed).toBe(2);
  });

  test("what kept the look from being whole is said, and nothing at all is a failure", async () => {
    devices.devices = [];
    devices.problems = ["/sys/block is missing or empty: mount sysfs"];
    const { code, stderr } = await device("list");
    expect([code, stderr]).toEqual([1, "/sys/block is missing or empty: mount sysfs\n"]);
  });

  test("describe shows all of it, and what to do next", async () => {
    const { stdout } = await device("describe", sata);
    expect(stdout).toContain("serial       SATA0001\n");
    expect(stdout).toContain(`state        free: couchestor device claim ${sata} --pool NAME\n`);
    expect((await device("describe", nvme.id)).stdout).toContain(
      "state        active: /dev/nvme0n1p1 is mounted at /\n",
    );
    const gone = await device("describe", "wwn-9");
    expect([gone.code, gone.stderr]).toEqual([2, "error: device wwn-9 is not there\n"]);
  });

  test("health exits 1 when a disk is failing, and leaves out what a disk does not report", async () => {
    const { code, stdout } = await device("health");
    expect(code).toBe(1);
    expect(stdout).toContain("/dev/sda      Healthy 31 °C      -               -             -            0     10\n");
    expect(stdout).toContain("102 %  3 % (min 10 %)");
    expect((await device("health", sata)).code).toBe(0);
  });

  test("of all nodes, as the brain has it", async () => {
    const cluster = new FakeCluster();
    try {
      const { name: _, sysPath, deviceNumber, byId, readOnly, removable, problems, ...info } = disk();
      cluster.nodes = sampleNodes().map((node) => ({ ...node, devices: [info] }));
      const asked = await device("list", "--all-nodes", "--brain", cluster.url);
      expect(asked.stdout).toContain("node-2 (Offline)  wwn-0x5000c50000000001");
      const unknown = await device("list", "--node", "node-9", "--brain", cluster.url);
      expect([unknown.code, unknown.stderr.split("\n")[0]]).toEqual([
        2,
        'error: --node: got "node-9", there are node-1, node-2',
      ]);
    } finally {
      await cluster[Symbol.asyncDispose]();
    }
  });
});

describe("claiming and releasing", () => {
  test("nothing is written by a dry run, nor where nobody can be asked", async () => {
    const dry = await device("claim", sata, "--pool", "slow", "--node", "n1", "--dry-run");
    expect([dry.code, dry.stdout]).toEqual([
      0,
      `would make ${sata} (/dev/sda) pool slow:\n  lost: it holds an XFS file system\n  write the label\n`,
    ]);
    const asked = await device("claim", sata, "--pool", "slow", "--node", "n1");
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain("what is lost for good: it holds an XFS file system: give --yes");
    expect((await device("release", sata)).code).toBe(2);
    expect((await device("release", sata, "--dry-run")).stdout).toContain("which holds no chunks");
    expect(devices.did).toEqual([]);
  });

  test("with --yes it is done, and the flag for the agent is shown", async () => {
    const done = await device("claim", sata, "--pool", "slow", "--node", "any", "--wipe", "--yes");
    expect(done.code).toBe(0);
    expect(done.stdout).toContain(`--pool slow=device:${sata},tier=cold\n`);
    expect(devices.did).toEqual([`claim ${sata} {"poolName":"slow","nodeName":"","wipe":true,"move":false}`]);
    devices.segments = 3;
    const released = await device("release", sata, "--destroy-data", "--yes");
    expect(released.stdout).toContain("which holds 3 segments of chunks");
    expect(devices.did.at(-1)).toBe(`release ${sata} true`);
  });

  test("a refusal exits 2 with its reasons, in JSON as a problem", async () => {
    devices.refusal = new AppError("FailedPrecondition", "device x is in use and can't be claimed: it is mounted");
    const refused = await device("claim", "x", "--pool", "p", "--node", "n1", "--yes");
    expect([refused.code, refused.stderr]).toEqual([
      2,
      "error: device x is in use and can't be claimed: it is mounted\n",
    ]);
    const json = await device("claim", "x", "--pool", "p", "--node", "n1", "--yes", "--json");
    expect(json.json()).toMatchObject({ error: { code: "FailedPrecondition" } });
  });

  test("blink keeps to its limits", async () => {
    expect((await device("blink", sata, "--for", "2s", "--activity")).stdout).toBe("blinked the locate light\n");
    expect(devices.did).toEqual([`blink ${sata} 2000 true`]);
    expect((await device("blink", sata, "--for", "2h")).code).toBe(2);
  });
});
