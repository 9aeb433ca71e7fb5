import { describe, expect, test } from "bun:test";
import { cluster, newest, replica, volume } from "./testing/samples.ts";
import { type ServerVersion, serverVersion } from "./version.ts";
import { likelyVictims, type VictimQuestion } from "./victims.ts";

const a = replica("a", "hot-1");
const b = replica("b", "hot-2");
const c = replica("c", "cold-3");
const pools = ["hot-1", "hot-2", "cold-3"];
const v28: ServerVersion = { ...newest, poolCordon: false, nodeCordonAware: false };
const v27: ServerVersion = { ...v28, topologyAware: false };

function ask(more: Partial<VictimQuestion> = {}): string[] {
  const nothing = { cordonedNodes: new Set<string>(), strippedPools: new Map<string, string>() };
  return likelyVictims({ volume: volume([a, b, c]), cluster: cluster(pools), version: newest, ...nothing, ...more });
}

describe("which replica leaves", () => {
  test("any of those that tie, as the order among them is not stable", () => {
    expect(ask()).toEqual(["a", "b", "c"]);
  });

  test("one that is not complete before all others, whatever else holds", () => {
    const filling = { ...b, child: "Degraded", rebuildPercent: 1 };
    expect(ask({ volume: volume([a, filling, c]), cordonedNodes: new Set(["node-1"]) })).toEqual(["b"]);
    const down = { ...c, child: "Faulted" };
    expect(ask({ volume: volume([a, filling, down]) })).toEqual(["b", "c"]);
  });

  test("one on a cordoned node, from 2.9 on; several, if others have cordoned nodes too", () => {
    expect(ask({ cordonedNodes: new Set(["node-2"]) })).toEqual(["b"]);
    const others = cluster(pools, { nodes: { "node-3": { cordons: ["maintenance"] } } });
    expect(ask({ cluster: others, cordonedNodes: new Set(["node-2"]) })).toEqual(["b", "c"]);
    expect(ask({ version: v28, cordonedNodes: new Set(["node-2"]) })).toEqual(["a", "b", "c"]);
  });

  test("any, while the node or the pool of one of them could not be read", () => {
    const asked = { cordonedNodes: new Set(["node-2"]) };
    const whole = cluster(pools);
    const without = (name: string) => new Map([...whole.nodes].filter(([node]) => node !== name));
    expect(ask({ ...asked, cluster: { ...whole, nodes: without("node-3") } })).toEqual(["a", "b", "c"]);
    expect(ask({ ...asked, cluster: cluster(pools.slice(0, 2)) })).toEqual(["a", "b", "c"]);
  });

  test("one beside the target stays longest: alone, the new one would go", () => {
    const local = volume([a, c], { target: { uuid: "n", node: "node-1", state: "Online", children: [] } });
    expect(ask({ volume: local })).toEqual(["c"]);
    expect(ask({ volume: local, version: v27 })).toEqual(["c"]);
    expect(ask({ volume: local, cordonedNodes: new Set(["node-1"]) })).toEqual(["a"]);
  });

  test("one whose pool or node lacks what the volume asks for, before cordons, from 2.7.3 on", () => {
    const stripped = new Map([["hot-1", "tier"]]);
    expect(ask({ strippedPools: stripped, version: v28 })).toEqual(["a"]);
    expect(ask({ strippedPools: stripped, cordonedNodes: new Set(["node-2"]) })).toEqual(["a"]);
    expect(ask({ strippedPools: stripped, version: v27 })).toEqual(["a", "b", "c"]);
    const wants = volume([a, b, c], { nodeRule: { inclusion: { zone: "1" }, exclusion: {} } });
    const zoned = cluster(pools, {
      nodes: { "node-1": { labels: { zone: "1" } }, "node-3": { labels: { zone: "1" } } },
    });
    expect(ask({ volume: wants, cluster: zoned })).toEqual(["b"]);
  });
});

describe("which version a server is", () => {
  const untold = volume([{ ...a, healthy: undefined }]);
  const features = (poolCordon: boolean) => ({ poolCordon, poolDrain: false });
  const nodes = (...versions: (string | undefined)[]) =>
    cluster([], { nodes: Object.fromEntries(versions.map((version, i) => [`n${i}`, { version }])) });

  test("is told by its paths, by fields of its answers, and by its oldest node", () => {
    expect(serverVersion(features(true), nodes("v2.7.1"), untold).poolCordon).toBe(true);
    expect(serverVersion(features(false), nodes("v2.7.1"), volume([a]))).toMatchObject({ nodeCordonAware: true });
    expect(serverVersion(features(false), nodes("v2.10.1", "v2.9.0"), untold)).toMatchObject({
      nodeCordonAware: true,
      text: "2.9.0",
    });
    expect(serverVersion(features(false), nodes("v2.9.0", "2.8.1"), untold)).toMatchObject({
      nodeCordonAware: false,
      topologyAware: true,
    });
    expect(serverVersion(features(false), nodes("v2.7.3"), untold)).toMatchObject({ topologyAware: true });
    expect(serverVersion(features(false), nodes("v2.7.2"), untold)).toMatchObject({ topologyAware: false });
  });

  test("unknown is old: one node that doesn't say, or says what is not understood", () => {
    for (const odd of [undefined, "nightly", "v3.0.0", ""]) {
      const found = serverVersion(features(false), nodes("v2.9.0", odd), untold);
      expect(found).toMatchObject({ nodeCordonAware: false, topologyAware: false, text: "of unknown version" });
    }
    expect(serverVersion(features(false), nodes(), untold).nodeCordonAware).toBe(false);
  });
});
