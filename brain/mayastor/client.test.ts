import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { MayastorSim } from "../testing/mayastor/at-rest.ts";
import { MayastorClient } from "./client.ts";
import { mayastorPolicy } from "./http-transport.ts";
import { requiredPoolLabels, tieredPools, tieredReplicas } from "./mapping.ts";

const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

let sim: MayastorSim;
beforeEach(() => {
  sim = new MayastorSim();
  sim.addPool("hot-1", "node-1", { tier: "hot" }, { capacityBytes: 100e9 });
  sim.addPool("cold-2", "node-2", { tier: "cold" });
  for (let i = 1; i <= 23; i++) sim.addVolume(uuid(i), ["hot-1", "cold-2"]);
});
afterEach(() => sim[Symbol.asyncDispose]());

const once = { ...mayastorPolicy, attemptsMax: 1 };
const client = (more: object = {}) => new MayastorClient({ url: sim.url, policy: once, ...more });

/** A server whose every answer is this. */
async function answering<T>(answer: (url: URL) => Response, body: (client: MayastorClient) => Promise<T>): Promise<T> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => answer(new URL(request.url)) });
  try {
    return await body(new MayastorClient({ url: `http://127.0.0.1:${server.port}`, policy: once }));
  } finally {
    await server.stop(true);
  }
}

async function failure(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await work.catch((e: unknown) => e);
  if (!isAppError(error)) throw new Error(`no AppError: ${error}`);
  return { code: error.code, message: error.message };
}

describe("volumes", () => {
  test("are read page by page, each once", async () => {
    const { items, unreadable } = await client({ pageEntries: 10 }).volumes();
    expect(items.map((volume) => volume.spec.uuid)).toEqual(Array.from({ length: 23 }, (_, i) => uuid(i + 1)));
    expect(unreadable).toEqual([]);
    expect(sim.calls).toEqual([
      "GET /v0/volumes?max_entries=10",
      "GET /v0/volumes?max_entries=10&starting_token=10",
      "GET /v0/volumes?max_entries=10&starting_token=20",
    ]);
  });

  test("that go or come between two pages neither repeat others nor stop the reading", async () => {
    sim.onAnswer = () => {
      sim.onAnswer = undefined;
      sim.volumes.delete(uuid(1));
      sim.addVolume(uuid(50), ["hot-1"]);
    };
    const { items } = await client({ pageEntries: 10 }).volumes();
    const names = items.map((volume) => volume.spec.uuid);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain(uuid(50));
  });

  test("tell where their replicas are and which labels their pools must have", async () => {
    sim.addVolume(uuid(30), ["cold-2"], { poolInclusion: { tier: "" } });
    const volume = await client().volume(uuid(30));
    if (volume === undefined) throw new Error("no volume");
    expect(tieredReplicas(volume)).toMatchObject([{ poolName: "cold-2", nodeName: "node-2" }]);
    expect(requiredPoolLabels(volume)).toEqual({ tier: "" });
    expect(await client().volume(uuid(77))).toBeUndefined();
  });

  test("that a proxy doesn't find are not taken for volumes that are gone", async () => {
    await answering(
      () => new Response("<html>404</html>", { status: 404, headers: { "content-type": "text/html" } }),
      async (other) => expect((await failure(other.volume(uuid(1)))).code).toBe("NotFound"),
    );
  });

  test("a list that goes round in circles ends with an error", async () => {
    await answering(
      () => Response.json({ entries: [], next_token: 5 }),
      async (other) => expect((await failure(other.volumes())).message).toContain("does not go on: after 5 comes 5"),
    );
  });
});

describe("what a newer Mayastor may say", () => {
  test("unknown words, new fields and left-out ones are read; what is beyond reading is named, and the rest is there", async () => {
    sim.newer = true;
    sim.addVolume(uuid(40), ["hot-1"], { status: "Hibernating" });
    Object.assign(sim.pools.get("cold-2") ?? {}, { status: "Dreaming" });
    expect((await client().volume(uuid(40)))?.state.status).toBe("Unknown");
    const pools = await client().pools();
    expect(pools.items.map((pool) => pool.state?.status)).toEqual(["Online", "Unknown"]);
    const real = (await (await fetch(`${sim.url}/v0/volumes?max_entries=2`)).json()) as { entries: object[] };
    const entries = [{ spec: { uuid: "odd" } }, ...real.entries, null, 7];
    await answering(
      () => Response.json({ entries }),
      async (other) => {
        const { items, unreadable } = await other.volumes();
        expect(items.length).toBe(2);
        expect(unreadable.length).toBe(3);
        expect(unreadable[0]).toContain("volume odd: spec.size");
      },
    );
  });

  test("is found out by the paths it names", async () => {
    expect(await client().features()).toEqual({ poolCordon: false, poolDrain: false });
    sim.newer = true;
    expect(await client().features()).toEqual({ poolCordon: true, poolDrain: false });
  });
});

describe("pools", () => {
  const unusable = async (name: string) => {
    const [pools, nodes] = await Promise.all([client().pools(), client().nodes()]);
    return tieredPools(pools.items, nodes.items).find((pool) => pool.name === name);
  };

  test("have their labels, node and free space", async () => {
    expect(await unusable("hot-1")).toEqual({
      name: "hot-1",
      nodeName: "node-1",
      labels: { "openebs.io/created-by": "operator-diskpool", tier: "hot" },
      freeBytes: 100e9 - 23 * 1024 ** 3,
    });
  });

  test("that can't take a replica say why", async () => {
    const [pool, node] = [sim.pools.get("cold-2"), sim.nodes.get("node-2")];
    if (pool === undefined || node === undefined) throw new Error("no pool");
    const why = async (change: () => void, undo: () => void) => {
      change();
      const found = (await unusable("cold-2"))?.unusable;
      undo();
      return found;
    };
    expect(
      await why(
        () => (pool.status = "absent"),
        () => (pool.status = "Online"),
      ),
    ).toBe("it can't be reached");
    expect(
      await why(
        () => (pool.status = "Faulted"),
        () => (pool.status = "Online"),
      ),
    ).toBe("it is Faulted");
    expect(
      await why(
        () => (node.status = "Offline"),
        () => (node.status = "Online"),
      ),
    ).toBe("its node node-2 is Offline");
    expect(
      await why(
        () => node.cordons.push("x"),
        () => node.cordons.pop(),
      ),
    ).toBe("its node node-2 is cordoned or being drained");
    sim.newer = true;
    expect(
      await why(
        () => (pool.cordoned = true),
        () => (pool.cordoned = false),
      ),
    ).toBe("it is cordoned or being drained");
    expect(await unusable("cold-2")).not.toHaveProperty("unusable");
    sim.nodes.delete("node-2");
    expect((await unusable("cold-2"))?.unusable).toBe("its node node-2 is not known");
  });
});

describe("a Mayastor that is not well", () => {
  test("says so in its own words", async () => {
    sim.mode = "core-down";
    expect(await failure(client().pools())).toEqual({
      code: "Unavailable",
      message: "Mayastor: Unavailable: transport error; SvcError :: Unavailable",
    });
  });

  test("or a proxy does: HTML is told from JSON", async () => {
    sim.mode = "html";
    const { code, message } = await failure(client().pools());
    expect(code).toBe("Internal");
    expect(message).toContain('is not JSON: it begins "<html>Bad Gateway</html>"');
  });

  test("or nobody does: it is given up in time", async () => {
    sim.mode = "silent";
    expect((await failure(client({ policy: { ...once, timeoutMs: 300 } }).pools())).code).toBe("Timeout");
  });

  test("and is left alone after five failures in a row", async () => {
    sim.mode = "core-down";
    const asked = client();
    for (let i = 0; i < 7; i++) await asked.pools().catch(() => undefined);
    expect(sim.calls.length).toBe(5);
    expect((await failure(asked.pools())).message).toContain("failed 5 times in a row");
  });

  test("sends a token when it is given one, asked anew for each request", async () => {
    let token = 0;
    const seen: (string | null)[] = [];
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => {
        seen.push(request.headers.get("authorization"));
        return Response.json([]);
      },
    });
    const headers = () => ({ authorization: `Bearer ${++token}` });
    const asked = new MayastorClient({ url: `http://127.0.0.1:${server.port}`, headers });
    await asked.pools();
    await asked.nodes();
    await server.stop(true);
    expect(seen).toEqual(["Bearer 1", "Bearer 2"]);
  });
});
