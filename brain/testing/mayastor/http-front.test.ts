import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { MayastorClient } from "../../mayastor/client.ts";
import { mayastorPolicy } from "../../mayastor/http-transport.ts";
import { publish } from "./environment.ts";
import { MayastorServer } from "./http-front.ts";

const uuid = "00000000-0000-4000-8000-000000000001";
const policy = { ...mayastorPolicy, attemptsMax: 1 };

test("over HTTP the client sees the same: what is done, what is refused, and what is not known", async () => {
  await using server = new MayastorServer({
    prng: seededPrng(1),
    settings: { rebuildBytesPerSecond: 1e12, cachePeriodMs: 100, requestCutMs: 500 },
  });
  const { plane } = server;
  for (const n of [1, 2, 3]) plane.cluster.addPool(`cold-${n}`, `node-${n}`, { tier: "cold" });
  publish(plane.cluster, plane.cluster.addVolume(uuid, ["cold-1"]), "node-1");
  const client = new MayastorClient({ url: server.url, policy });
  expect(await client.features()).toEqual({ poolCordon: true, poolDrain: false });
  expect((await client.cordonPool("cold-2")).kind).toBe("done");
  expect((await client.setReplicaCount(uuid, 3)).kind).toBe("refused");
  expect((await client.setReplicaCount(uuid, 2)).kind).toBe("done");
  expect(Object.values((await client.volume(uuid))?.state.replica_topology ?? {}).map(({ pool }) => pool)).toEqual([
    "cold-1",
    "cold-3",
  ]);
  for (const fault of [
    { kind: "after", how: "reset" },
    { kind: "after", how: "html" },
    { kind: "late", ms: 100 },
  ] as const) {
    plane.fault = (call) => (call.isRead ? undefined : fault);
    expect((await client.uncordonPool("cold-2")).kind).toBe("unknown");
    plane.fault = () => undefined;
    while (plane.cluster.pool("cold-2").cordon.replicas) await client.volume(uuid);
    await client.cordonPool("cold-2");
  }
  plane.fault = () => ({ kind: "before", how: "silent" });
  const impatient = new MayastorClient({ url: server.url, policy: { ...policy, timeoutMs: 300 } });
  const error = await impatient.volumes().catch((e: unknown) => e);
  expect(isAppError(error, "Timeout")).toBe(true);
});
