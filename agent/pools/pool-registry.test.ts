import { expect, test } from "bun:test";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { poolInfoSchema } from "@couchestor/common/api/nodes.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { typescriptChecksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import { until } from "../testing/test-cluster.ts";
import { PoolIdentities } from "./identities.ts";
import { poolOpener } from "./open-pool.ts";
import { PoolRegistry } from "./pool-registry.ts";
import { parsePoolSpec } from "./pool-spec.ts";

const clusterA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const clusterB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";

async function registry(dataDir: string, ...specs: string[]): Promise<PoolRegistry> {
  const parts = { clock: systemClock, prng: systemPrng, log: silentLogger(), nodeName: "n1" };
  const openDevice = () => Promise.reject(new Error("no devices here"));
  const open = poolOpener({ ...parts, fileSystem: nodeFileSystem({}), checksum: typescriptChecksum, openDevice });
  const identities = new PoolIdentities(dataDir);
  await identities.load();
  const pools = new PoolRegistry({ ...parts, specs: specs.map((s) => parsePoolSpec(s)), open, identities, retryMs: 0 });
  await pools.start();
  return pools;
}

test("a pool keeps its identity; one that can't be opened is reported and the others serve", async () => {
  await withTempDir("pools", async (dir) => {
    await writeFile(join(dir, "file"), "x");
    const first = await registry(dir, `a=${dir}/a,tier=hot`, `b=${dir}/file`);
    const [a, b] = first.infos().map((info) => poolInfoSchema.parse(info));
    expect(a).toMatchObject({ poolName: "a", state: "Online", labels: { tier: "hot" } });
    expect(b).toMatchObject({
      poolName: "b",
      state: "Failed",
      reason: expect.stringContaining("neither a directory nor a block device"),
    });
    expect(() => first.get(b?.poolUuid as string)).toThrow("pool b is Failed");
    expect(() => first.get(clusterA)).toThrow("is none of node n1");
    await first.close();
    const second = await registry(dir, `a=${dir}/a`, `b=${dir}/file`);
    expect(second.infos().map(({ poolUuid }) => poolUuid)).toEqual([a?.poolUuid as string, b?.poolUuid as string]);
    await second.close();
  });
});

test("a disk that is not mounted is not taken for a new pool, and is picked up when it is back", async () => {
  await withTempDir("pools", async (dir) => {
    const first = await registry(dir, `a=${dir}/a`);
    const uuid = first.infos()[0]?.poolUuid as string;
    await first.close();
    await rename(join(dir, "a"), join(dir, "elsewhere"));
    for (const empty of [false, true]) {
      if (empty) await mkdir(join(dir, "a"));
      const without = await registry(dir, `a=${dir}/a`);
      const reason = empty ? "is empty, but held a pool before" : "is gone, but held a pool before";
      expect(without.infos()[0]).toMatchObject({
        poolUuid: uuid,
        state: "Failed",
        reason: expect.stringContaining(reason),
      });
      if (empty) {
        await rm(join(dir, "a"), { recursive: true });
        await rename(join(dir, "elsewhere"), join(dir, "a"));
        await without.maintain();
        expect(without.infos()[0]).toMatchObject({ poolUuid: uuid, state: "Online" });
      }
      await without.close();
    }
    await rename(join(dir, "a"), join(dir, "was-a"));
    const other = await registry(`${dir}`, `x=${dir}/x`);
    await other.close();
    await rename(join(dir, "x"), join(dir, "a"));
    const swapped = await registry(dir, `a=${dir}/a`);
    expect(swapped.infos()[0]).toMatchObject({
      poolUuid: uuid,
      state: "Failed",
      reason: expect.stringContaining("are disks swapped?"),
    });
    await swapped.close();
  });
});

test("a fresh pool joins the brain's cluster for good; another cluster's is refused and says so", async () => {
  await withTempDir("pools", async (dir) => {
    const pools = await registry(dir, `a=${dir}/a`);
    const uuid = pools.infos()[0]?.poolUuid as string;
    await pools.adopt(clusterA);
    expect(pools.infos()[0]).toMatchObject({ state: "Online", clusterUuid: clusterA });
    await pools.close();
    const again = await registry(dir, `a=${dir}/a`);
    expect(again.get(uuid).poolUuid).toBe(uuid);
    await again.adopt(clusterB);
    expect(again.infos()[0]).toMatchObject({
      state: "Failed",
      clusterUuid: clusterA,
      reason: expect.stringContaining(`belongs to cluster ${clusterA}`),
    });
    expect(() => again.get(uuid)).toThrow("belongs to cluster");
    await again.adopt(clusterA);
    expect(again.get(uuid).info().state).toBe("Online");
    await again.close();
  });
});

test("the same pool under two names, or in two agents, is open once", async () => {
  await withTempDir("pools", async (dir) => {
    const first = await registry(dir, `a=${dir}/a`);
    await mkdir(join(dir, "other"));
    const second = await registry(join(dir, "other"), `a=${dir}/a`);
    expect(second.infos()[0]).toMatchObject({
      state: "Failed",
      reason: expect.stringContaining("another process has it open"),
    });
    await first.close();
    await until(() => {
      void second.maintain();
      return second.infos()[0]?.state === "Online";
    });
    await second.close();
  });
});

test("a pool whose disk does not answer keeps no other from being opened, and is not opened twice at a time", async () => {
  await withTempDir("pools", async (dir) => {
    const parts = { clock: systemClock, prng: systemPrng, log: silentLogger(), nodeName: "n1" };
    const openDevice = () => Promise.reject(new Error("no devices here"));
    const really = poolOpener({ ...parts, fileSystem: nodeFileSystem({}), checksum: typescriptChecksum, openDevice });
    const silent = Promise.withResolvers<void>();
    const tries = { slow: 0, late: 0 };
    const open: typeof really = async (spec, mayCreate) => {
      if (spec.poolName === "slow") {
        tries.slow++;
        await silent.promise;
      } else if (tries.late++ === 0) throw new Error("its disk is not there yet");
      return await really(spec, mayCreate);
    };
    const specs = ["slow", "late"].map((name) => parsePoolSpec(`${name}=${dir}/${name}`));
    const pools = new PoolRegistry({ ...parts, specs, open, identities: new PoolIdentities(dir), retryMs: 0 });
    const states = () => pools.infos().map(({ state }) => state);
    const started = pools.start();
    await until(() => {
      void pools.maintain();
      return states()[1] === "Online";
    });
    expect(states()).toEqual(["Failed", "Online"]);
    expect(tries).toEqual({ slow: 1, late: 2 });
    silent.resolve();
    await started;
    expect(states()).toEqual(["Online", "Online"]);
    await pools.close();
  });
});

test("an identity that could not be written is not taken for remembered", async () => {
  await withTempDir("pools", async (dir) => {
    const identities = new PoolIdentities(join(dir, "data"));
    const identity = { path: "/disks/a", poolUuid: clusterA };
    for (let i = 0; i < 2; i++) await expect(identities.remember("a", identity)).rejects.toThrow("ENOENT");
    expect(identities.get("a")).toBeUndefined();
    await mkdir(join(dir, "data"));
    await Promise.all([identities.remember("a", identity), identities.remember("b", { ...identity, path: "/b" })]);
    const again = new PoolIdentities(join(dir, "data"));
    await again.load();
    expect([again.get("a")?.path, again.get("b")?.path]).toEqual(["/disks/a", "/b"]);
  });
});

test("pool flags", () => {
  expect(parsePoolSpec("fast=/mnt/a=b,tier=hot")).toEqual({
    poolName: "fast",
    path: "/mnt/a=b",
    labels: { tier: "hot" },
  });
  for (const bad of ["", "=/x", "a=", "A=/x", "a=/x,tier", "a=/x,=v"]) expect(() => parsePoolSpec(bad)).toThrow();
});
