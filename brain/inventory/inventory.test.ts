import { describe, expect, test } from "bun:test";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { silentLog } from "../ports.ts";
import { TestBrain } from "../sim/test-brain.ts";

function refusal(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return isAppError(error) ? `${error.code}: ${error.message}` : String(error);
  }
}

async function withBrain(run: (t: TestBrain) => Promise<void>, nodes = 3): Promise<void> {
  const t = await TestBrain.start({ nodes });
  try {
    await run(t);
  } finally {
    await t.close();
  }
}

describe("inventory", () => {
  test("a silent node is Offline after the limit, Online when it speaks, and each is written once", () =>
    withBrain(async (t) => {
      const { inventory } = t.brain.services;
      await inventory.flush();
      const before = await t.store.get(storageNodeKind, "n1");
      await t.pass(10_000);
      expect((await t.store.get(storageNodeKind, "n1"))?.metadata.resourceVersion).toBe(
        before?.metadata.resourceVersion,
      );
      t.fleet.kill("n1");
      await t.pass(3000);
      await inventory.flush();
      expect((await t.store.get(storageNodeKind, "n1"))?.status?.state).toBe("Offline");
      t.fleet.restart("n1");
      await t.pass(1000);
      await inventory.flush();
      expect((await t.store.get(storageNodeKind, "n1"))?.status).toMatchObject({
        state: "Online",
        instanceUuid: t.fleet.node("n1").instanceUuid,
      });
    }));

  test("a pool that its node no longer reports is named, with the time until repair replaces it, until it is back", () =>
    withBrain(async (t) => {
      const { pools } = t.fleet.node("n1");
      const [uuid, pool] = [...pools][0] ?? [];
      if (uuid === undefined || pool === undefined) throw new Error("no pool");
      pools.delete(uuid);
      await t.pass(500);
      const { waiting } = t.brain.repair.status();
      expect(waiting).toMatchObject([{ nodeName: "n1", poolName: "p1" }]);
      expect(waiting[0]?.repairInSeconds).toBeGreaterThan(0);
      pools.set(uuid, pool);
      await t.pass(500);
      expect(t.brain.repair.status().waiting).toEqual([]);
    }));

  test("a wall clock that jumps back by a year takes no node offline and keeps none online", () =>
    withBrain(async (t) => {
      t.clock.jumpWall(-365 * 86_400_000);
      await t.pass(1000);
      expect(t.brain.services.inventory.online().length).toBe(3);
      t.fleet.kill("n2");
      t.clock.jumpWall(-365 * 86_400_000);
      await t.pass(3000);
      expect(t.brain.services.inventory.node("n2")?.state).toBe("Offline");
    }));

  test("another protocol version is refused with both versions, before its fields are looked at", () =>
    withBrain(async (t) => {
      const text = refusal(() => t.brain.heartbeat("n1", { protocolVersion: 2, version: "9.9", unheardOf: true }));
      expect(text).toContain("IncompatibleVersion: agent n1 (version 9.9) speaks protocol 2, this brain speaks 1");
      expect(refusal(() => t.brain.heartbeat("n1", { protocolVersion: 1 }))).toStartWith("InvalidArgument");
    }));

  test("two live agents of one name: the earlier keeps it, the later is refused until the earlier is gone", () =>
    withBrain(async (t) => {
      const mine = t.fleet.heartbeatOf(t.fleet.node("n1"));
      const rival = { ...mine, instanceUuid: t.fleet.prng.uuid(), pools: [] };
      t.brain.heartbeat("n1", rival);
      t.brain.heartbeat("n1", mine);
      expect(refusal(() => t.brain.heartbeat("n1", rival))).toContain(
        "Conflict: node name n1 is in use by another live agent",
      );
      t.brain.heartbeat("n1", mine);
      t.fleet.kill("n1");
      await t.pass(3000);
      expect(refusal(() => t.brain.heartbeat("n1", rival))).toBe("none");
    }));

  test("a pool on two nodes is refused; on another node after the first is offline it has moved", () =>
    withBrain(async (t) => {
      const first = t.fleet.heartbeatOf(t.fleet.node("n1"));
      const second = { ...t.fleet.heartbeatOf(t.fleet.node("n2")), pools: first.pools };
      expect(refusal(() => t.brain.heartbeat("n2", second))).toContain("is also reported by node n1");
      t.fleet.kill("n1");
      await t.pass(3000);
      expect(refusal(() => t.brain.heartbeat("n2", second))).toBe("none");
      expect(t.brain.services.inventory.host(first.pools[0]?.poolUuid ?? "")?.node.name).toBe("n2");
    }));

  test("agents of another cluster are refused; a single disk of another one is left out", () =>
    withBrain(async (t) => {
      const warnings: string[] = [];
      t.log = { ...silentLog, warn: (_fields, message) => void warnings.push(message) };
      await t.crash();
      const beat = t.fleet.heartbeatOf(t.fleet.node("n1"));
      const foreign = beat.pools.map((p) => ({ ...p, clusterUuid: t.fleet.prng.uuid() }));
      expect(refusal(() => t.brain.heartbeat("n1", { ...beat, pools: foreign }))).toStartWith("WrongCluster");
      const [bad] = foreign;
      const [, good] = beat.pools;
      for (let i = 0; i < 3; i++) t.brain.heartbeat("n1", { ...beat, pools: [bad, good] });
      expect(warnings.filter((text) => text.includes("pool of another cluster")).length).toBe(1);
      expect(t.brain.services.inventory.node("n1")?.heartbeat?.pools).toEqual([good] as never);
    }));

  test("after a restart nodes not heard yet count neither as there nor as gone", () =>
    withBrain(async (t) => {
      await t.brain.services.inventory.flush();
      await t.brain.stop();
      await t.store.close();
      await t.open();
      const [pool] = t.fleet.node("n1").pools.keys();
      expect(t.brain.services.standings.standing(pool ?? "")).toBe("unknown");
      expect(t.brain.services.inventory.online()).toEqual([]);
      await t.clock.advance(2500);
      expect(t.brain.services.standings.standing(pool ?? "")).toBe("away");
    }));
});
