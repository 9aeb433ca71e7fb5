import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { FakeCluster, idleRepair } from "./testing/fake-cluster.ts";
import { run } from "./testing/run.ts";
import { sampleNodes, sampleScrub, sampleStripes } from "./testing/samples.ts";

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
  cluster.addReady("photos", new Uint8Array(32 * 1024 * 1024));
  cluster.nodes = sampleNodes();
  cluster.stripes = sampleStripes();
});
afterEach(() => cluster[Symbol.asyncDispose]());

const ask = (...argv: string[]) => run([...argv, "--brain", cluster.url]);

describe("lists", () => {
  test("volume list", async () => {
    expect((await ask("volume", "list")).stdout).toBe(
      `NAME    PHASE  HEALTH       SIZE  CODE    STRIPE  RUNS  WRITTEN  DEGRADED  LOST
photos  Ready  Healthy  32.0 MiB  4+2   1.00 MiB     2      0 %         0     0
`,
    );
  });

  test("node list", async () => {
    expect((await ask("node", "list")).stdout).toBe(
      `NODE    STATE    SINCE                     POOLS             USED  CAPACITY  CHUNKS  CODEC         VERSION  ADDRESS
node-1  Online   2026-01-02T03:04:05.678Z      1  4.00 GiB (40 %)  10.0 GiB   12000  isa-l 2.31.1  0.1.0    http://127.0.0.1:7001
node-2  Offline  2026-01-02T03:04:05.678Z      1  4.00 GiB (40 %)  10.0 GiB   12000  isa-l 2.31.1  0.1.0    http://127.0.0.1:7002
`,
    );
  });

  test("pool list says why a pool takes no writes, and does not vouch for pools of a node that is away", async () => {
    expect((await ask("pool", "list")).stdout).toBe(
      `NODE    POOL    STATE                           KIND           USED      LIVE      FREE  CHUNKS  LABELS
node-1  pool-1  Full (less than 1 GiB is free)  directory  4.00 GiB  3.00 GiB  6.00 GiB   12000  tier=cold
node-2  pool-1  Offline                         directory  4.00 GiB  3.00 GiB  6.00 GiB   12000  tier=cold
`,
    );
  });

  test("stripe list names the missing shards with their pools", async () => {
    expect((await ask("stripe", "list", "photos")).stdout).toBe(
      `RUN                STRIPES  STATE          CODE  GEN  PLACEMENT  MISSING
photos-0000000000     0–15  Healthy        2+1     1  v1         -
photos-0000000016    16–31  Unrecoverable  2+1     1  v1         #1 node-2/pool-1, #2 node-3/pool-1
`,
    );
    expect(
      (await ask("stripe", "list", "--state", "Unrecoverable", "--json")).json<{ stripes: unknown[] }>().stripes.length,
    ).toBe(1);
  });

  test("a run that is held and one that is gone are told with what to do, in volumes and in stripes", async () => {
    const photos = cluster.volume("photos");
    const runs = { ...photos.view.runs, held: 1, absent: 1 };
    const uncovered = { stripes: 16, ranges: [{ firstStripe: 32, stripeCount: 16 }] };
    photos.view = { ...photos.view, health: "Incomplete", runs, uncovered };
    cluster.stripes = sampleStripes().map((stripe, i) =>
      i === 0 ? { ...stripe, state: "Held", held: "its code changed, by hand. Put its spec back" } : stripe,
    );
    const gone = "volume photos: 16 stripes can't be read, no run covers them: 32–47. Their ECStripes are gone";
    const held = "volume photos: 1 run is held, changed by hand, and can't be read: couchestor stripe list photos";
    const why = "photos-0000000000 is held: its code changed, by hand. Put its spec back";
    const shown: [string[], string[]][] = [
      [
        ["volume", "list"],
        ["photos  Ready  Incomplete", gone, held],
      ],
      [
        ["volume", "describe", "photos"],
        [gone, held, "1 held, 1 not written, 1 gone"],
      ],
      [
        ["stripe", "list", "photos", "--not-healthy"],
        ["Held", why, gone],
      ],
      [["stripe", "describe", "photos-0000000000"], [why]],
    ];
    for (const [argv, texts] of shown) {
      const { stdout } = await ask(...argv);
      for (const text of texts) expect(stdout).toContain(text);
    }
  });

  test("stripe describe", async () => {
    const { stdout } = await ask("stripe", "describe", "photos-0000000016");
    expect(stdout).toContain("2+1: needs 2 shards, 1 can be reached");
    expect(stdout).toContain("    1  data    node-2  pool-1  missing: node is Offline");
  });

  test("volume describe names what is lost", async () => {
    const { stdout } = await ask("volume", "describe", "photos");
    expect(stdout).toContain(
      "volume photos: 16 stripes can't be reconstructed: 16–31. 2+1 needs 2 shards of each; 1 can be reached. They miss the pools node-2/pool-1, node-3/pool-1.",
    );
  });

  test("boxes and colours only on a terminal, and no colours with NO_COLOR", async () => {
    const argv = ["volume", "list", "--brain", cluster.url];
    const colourful = (await run(argv, { tty: true })).stdout;
    expect(colourful).toContain("│");
    expect(colourful).toContain("\x1b[32mReady\x1b[0m");
    const plain = (await run(argv, { tty: true, env: { NO_COLOR: "1" } })).stdout;
    expect(plain).toContain("│");
    expect(plain).not.toContain("\x1b");
    expect((await run(argv)).stdout).not.toContain("\x1b");
  });
});

describe("care", () => {
  test("a clean scrub exits 0, one that leaves something bad exits 1 and shows it", async () => {
    cluster.scrubs = [sampleScrub({ state: "Running", stripesChecked: 3 }), sampleScrub()];
    const clean = await ask("scrub", "--deep");
    expect(clean.code).toBe(0);
    expect(clean.stdout).toBe("audit: 32 stripes of 32, 96 chunks, 48.0 MiB read\nnothing bad found\n");
    const finding = {
      stripe: 7,
      shardIndex: 1,
      poolUuid: "00000000-0000-4000-8000-000000000001",
      nodeName: "node-2",
      state: "corrupt" as const,
    };
    cluster.scrubs = [sampleScrub({ findings: [finding], repaired: 1 })];
    const repaired = await ask("scrub");
    expect(repaired.code).toBe(0);
    expect(repaired.stdout).toContain("     7      1  node-2  corrupt\n1 repaired\n");
    cluster.scrubs = [sampleScrub({ findings: [finding], unrepaired: 1 })];
    expect((await ask("scrub", "--no-repair")).code).toBe(1);
    cluster.scrubs = [sampleScrub({ state: "Failed", error: "no agent is online" })];
    expect((await ask("scrub")).code).toBe(1);
  });

  test("repair status, pause and resume", async () => {
    cluster.repair = {
      ...idleRepair(),
      queued: 3,
      running: 1,
      stripesDone: 16,
      stripesTotal: 64,
      bytesMoved: 100 * 1024 * 1024,
      bytesPerSecond: 50 * 1024 * 1024,
      etaSeconds: 6,
      spare: { "0": 2, "2": 5 },
      waiting: [{ nodeName: "node-2", repairInSeconds: 30 }],
      blocked: [{ stripe: "photos-0000000016", reason: "two domains are missing" }],
    };
    expect((await ask("repair", "status")).stdout).toBe(
      `repair   rebuilding; 3 runs queued, 1 under way, 1 blocked
wave     16 of 64 stripes (25 %), 100 MiB moved, 50.0 MiB/s, ETA 6.0 s
FURTHER LOSSES THAT CAN BE BORNE  RUNS
0                                    2
2                                    5
node-2 is away; its shards are rebuilt elsewhere in 30 s unless it returns
photos-0000000016: two domains are missing
`,
    );
    expect((await ask("repair", "pause", "--json")).json()).toMatchObject({ paused: true });
    expect((await ask("repair", "resume")).stdout).toBe("repair goes on\n");
  });

  test("repair status shows pools on failing devices, and why nothing is moved off them", async () => {
    const pool = { poolUuid: "11111111-1111-4111-8111-111111111111", poolName: "p0", nodeName: "node-1" };
    const reasons = ["the medium has become read-only"];
    cluster.repair = {
      ...idleRepair(),
      evacuation: {
        heldBack: "3 of 12 pools stand on failing devices",
        queued: 1,
        running: 0,
        runsMoved: 4,
        blocked: [{ stripe: "photos-0000000016", reason: "no room" }],
        pools: [{ ...pool, deviceId: "wwn-0x5", phase: "held back", runsLeft: 2, reasons }],
      },
    };
    expect((await ask("repair", "status")).stdout).toBe(
      `repair   nothing to rebuild; 0 runs queued, 0 under way, 0 blocked
failing devices   1 run to move off them, 0 under way, 1 blocked
NODE    POOL  DEVICE   STATE      RUNS LEFT  WHY
node-1  p0    wwn-0x5  held back          2  the medium has become read-only
3 of 12 pools stand on failing devices
photos-0000000016: no room
`,
    );
    // Whoever waits in order to take a disk out must not be told that all is elsewhere.
    expect((await ask("repair", "status", "--wait")).code).toBe(1);
    cluster.repair = { ...idleRepair(), blocked: [{ stripe: "photos-0000000016", reason: "two domains are missing" }] };
    expect((await ask("repair", "status", "--wait")).code).toBe(1);
    cluster.repair = { ...idleRepair(), paused: true, waiting: [{ nodeName: "node-2", repairInSeconds: 30 }] };
    expect((await ask("repair", "status", "--wait")).code).toBe(1);
    cluster.repair = idleRepair();
    expect((await ask("repair", "status", "--wait")).code).toBe(0);
  });

  test("recover waits for the end and exits 1 when stripes are lost", async () => {
    const report = {
      state: "Running" as const,
      dryRun: true,
      poolsRead: 1,
      poolsTotal: 2,
      chunksRead: 10,
      volumes: [],
    };
    const volume = {
      name: "photos",
      volumeUuid: "00000000-0000-4000-8000-000000000001",
      sizeBytes: 4096,
      runs: 1,
      stripes: 1,
      degradedStripes: 0,
      ignoredVersions: 1,
      notes: ["generation 9 of a dead act left aside"],
    };
    cluster.recovery = [report, { ...report, state: "Done", poolsRead: 2, volumes: [{ ...volume, lostStripes: [] }] }];
    const good = await ask("volume", "recover", "--dry-run");
    expect(good.code).toBe(0);
    expect(good.stdout).toContain("dry run, nothing written: 2 pools of 2 read");
    expect(good.stdout).toContain("photos: generation 9 of a dead act left aside");
    cluster.recovery = [{ ...report, state: "Done", volumes: [{ ...volume, lostStripes: [0] }] }];
    expect((await ask("volume", "recover")).code).toBe(1);
  });
});

describe("volume create and delete", () => {
  test("create shows what was made; the same name again is refused", async () => {
    const made = await ask("volume", "create", "scratch", "--size", "64MiB", "--code", "8+3");
    expect(made.stdout).toBe("volume scratch created: 64.0 MiB, 8+3, 4 runs\n");
    const again = await ask("volume", "create", "scratch", "--size", "64MiB");
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("exists already");
  });

  test("delete needs --yes where nobody can be asked, and --dry-run deletes nothing", async () => {
    expect((await ask("volume", "delete", "photos")).code).toBe(2);
    expect((await ask("volume", "delete", "photos", "--dry-run")).stdout).toStartWith("would delete volume photos");
    expect(cluster.volumes.has("photos")).toBe(true);
    expect((await ask("volume", "delete", "photos", "--yes", "--wait")).code).toBe(0);
    expect(cluster.volumes.has("photos")).toBe(false);
    const gone = await ask("volume", "delete", "photos", "--yes", "--json");
    expect(gone.code).toBe(1);
    expect(gone.json()).toMatchObject({ error: { code: "NotFound", status: 404 } });
  });
});
