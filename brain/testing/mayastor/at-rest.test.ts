import { describe, expect, test } from "bun:test";
import { AnswerCheck } from "./answer-check.ts";
import { MayastorSim } from "./at-rest.ts";
import { mayastorDescription, overlayEntries } from "./description.ts";

const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
const check = new AnswerCheck();

/** A simulator all of whose answers are held to the description. */
function checkedSim(): MayastorSim & { problems: string[]; checked: number } {
  const sim = Object.assign(new MayastorSim(), { problems: [] as string[], checked: 0 });
  sim.onAnswer = (method, path, status, body) => {
    sim.checked += 1;
    sim.problems.push(...check.problems(method, path, status, JSON.parse(JSON.stringify(body))));
  };
  for (const n of [1, 2, 3]) {
    sim.addPool(`hot-${n}`, `node-${n}`, { tier: "hot" });
    sim.addPool(`cold-${n}`, `node-${n}`, { tier: "cold" });
  }
  for (let i = 1; i <= 25; i++) sim.addVolume(uuid(i), [`hot-${(i % 3) + 1}`, `cold-${((i + 1) % 3) + 1}`]);
  return sim;
}

const call = async (sim: MayastorSim, method: string, path: string) => {
  const response = await fetch(`${sim.url}/v0${path}`, { method });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
};

describe("Mayastor's REST API, simulated", () => {
  test("every answer is as the published description and its overlay have it, of older and newer servers", async () => {
    for (const newer of [false, true]) {
      await using sim = checkedSim();
      sim.newer = newer;
      const odd = sim.addVolume(uuid(99), ["hot-1", "cold-2"], {
        publishedOn: undefined,
        operation: "SetReplica",
        affinityGroup: "db-0",
      });
      Object.assign(odd.replicas[1] ?? {}, { pool: undefined, node: undefined, state: "Unknown" });
      Object.assign(sim.volumes.get(uuid(1))?.replicas[0] ?? {}, { childStatus: "Degraded", rebuildProgress: 40 });
      Object.assign(sim.pools.get("cold-3") ?? {}, { status: newer ? "Suspected" : "absent", cordoned: true });
      sim.nodes.get("node-2")?.cordons.push("maintenance");
      const paths = ["/nodes", "/nodes/node-2", "/nodes/none", "/pools", "/pools/hot-1", "/pools/none", "/replicas"];
      const volumes = [
        "/volumes?max_entries=0",
        "/volumes?max_entries=10",
        "/volumes",
        `/volumes/${uuid(99)}`,
        `/volumes/${uuid(98)}`,
      ];
      for (const path of [...paths, ...volumes]) await call(sim, "GET", path);
      for (const label of ["speed=fast", "speed=fast", "speed=slow", "speed=slow?overwrite=true"])
        await call(sim, "PUT", `/pools/hot-1/label/${label}`);
      for (const key of ["speed", "speed", "openebs.io%2Fcreated-by"])
        await call(sim, "DELETE", `/pools/hot-1/label/${key}`);
      sim.mode = "core-down";
      await call(sim, "GET", "/pools");
      expect(sim.problems).toEqual([]);
      expect(sim.checked).toBe(20);
    }
  });

  test("the check itself finds what is wrong", () => {
    const pool = { id: "p", spec: { id: "p", node: "n", disks: [], status: "Created" } };
    expect(check.problems("GET", "/pools", 200, [pool])).toEqual([]);
    expect(check.problems("GET", "/pools", 200, [{ ...pool, spec: { ...pool.spec, status: "Made" } }])).not.toEqual([]);
    expect(check.problems("GET", "/pools", 200, [{ id: "p" }])).not.toEqual([]);
    expect(check.problems("GET", "/pools/p", 404, { kind: "NotFound", details: "" })).not.toEqual([]);
    expect(check.problems("GET", "/pools/p", 404, { kind: "Lost", details: "", message: "" })).not.toEqual([]);
    expect(check.problems("GET", "/pools/p", 302, {})).not.toEqual([]);
    expect(check.problems("GET", "/cisterns", 200, [])).toEqual(["GET /cisterns is not described"]);
  });

  test("each difference from the published description names its source", () => {
    for (const entry of overlayEntries()) expect(entry.source.length).toBeGreaterThan(20);
    const schemas = (mayastorDescription()["components"] as { schemas: { VolumeSpec: { required: string[] } } })
      .schemas;
    expect(schemas.VolumeSpec.required).not.toContain("num_paths");
  });

  test("pages by offset, wants to be told how many, and knows no route that is not there", async () => {
    await using sim = checkedSim();
    const first = await call(sim, "GET", "/volumes?max_entries=10");
    expect([first.body.entries.length, first.body.next_token]).toEqual([10, 10]);
    const last = await call(sim, "GET", "/volumes?max_entries=10&starting_token=20");
    expect([last.body.entries.length, last.body.next_token]).toEqual([5, undefined]);
    expect((await call(sim, "GET", "/volumes?max_entries=-1")).body.entries.length).toBe(25);
    expect(await call(sim, "GET", "/volumes")).toMatchObject({ status: 400, body: { kind: "Deserialize" } });
    expect(await call(sim, "GET", "/cisterns")).toEqual({ status: 404, body: undefined });
  });

  test("labels are set, kept from being changed by mistake, and taken off", async () => {
    await using sim = checkedSim();
    const status = async (method: string, path: string) => (await call(sim, method, path)).status;
    expect(await status("PUT", "/pools/hot-1/label/speed=fast")).toBe(200);
    expect(await status("PUT", "/pools/hot-1/label/speed=fast")).toBe(200);
    expect(await status("PUT", "/pools/hot-1/label/speed=slow")).toBe(412);
    expect(await status("PUT", "/pools/hot-1/label/speed=slow?overwrite=true")).toBe(200);
    expect((await call(sim, "GET", "/pools/hot-1")).body.spec.labels.speed).toBe("slow");
    expect(await status("DELETE", "/pools/hot-1/label/speed")).toBe(200);
    expect(await status("DELETE", "/pools/hot-1/label/speed")).toBe(412);
    expect(await status("DELETE", "/pools/hot-1/label/openebs.io%2Fcreated-by")).toBe(400);
  });
});
