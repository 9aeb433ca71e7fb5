import { afterEach, describe, expect, test } from "bun:test";
import { type EcStripe, type EcStripeStatus, ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { TestBrain } from "../sim/test-brain.ts";
import type { ResourceStore } from "../store/ports.ts";
import { observeAll } from "./run-status.ts";

let t: TestBrain;
afterEach(() => t.close());

/** The statuses of a volume's runs as the store has them. */
async function statuses(name: string): Promise<EcStripeStatus[]> {
  const { catalogue } = t.brain.services;
  const runs = await catalogue.freshRuns(catalogue.volume(name));
  return runs.map(({ status }) => status as EcStripeStatus);
}

const budget = (count: number) => ({ tryTake: () => count-- > 0 });
const all = async (name: string, state: EcStripeStatus["state"]): Promise<boolean> =>
  (await statuses(name)).every((status) => status.state === state);

describe("ECStripe status", () => {
  test("tells in people's words what is there, what is missing, what is rebuilt, and that it is whole again", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    await t.until(() => all("v1", "Healthy"), "healthy");
    const [healthy] = await statuses("v1");
    expect(healthy).toMatchObject({
      healthyShards: 6,
      healthyDataShards: 4,
      healthyParityShards: 2,
      missingShards: [],
    });
    expect(healthy?.shardLocations).toHaveLength(6);
    const lost = healthy?.shardLocations?.find(({ shardIndex }) => shardIndex === 0)?.nodeName ?? "";
    t.fleet.kill(lost);
    await t.until(() => all("v1", "Degraded"), "degraded");
    const [degraded] = await statuses("v1");
    expect(degraded).toMatchObject({ healthyShards: 5, shardHealth: [{ state: "Missing" }] });
    t.autoPerform = false;
    await t.until(
      async () => (await statuses("v1")).some(({ state }) => state === "Rebuilding"),
      "the rebuild's start",
    );
    const rebuilding = (await statuses("v1")).find(({ state }) => state === "Rebuilding");
    expect(rebuilding?.shardHealth).toEqual([{ shardIndex: rebuilding?.missingShards[0] ?? -1, state: "Rebuilding" }]);
    t.autoPerform = true;
    await t.until(() => all("v1", "Healthy"), "the rebuild's end");
    const [whole] = await statuses("v1");
    expect(whole?.shardLocations?.some(({ nodeName }) => nodeName === lost)).toBe(false);
    expect(whole?.shardHealth).toBeUndefined();
  });

  test("fewer shards than reading takes are Failed, and Healthy again when their nodes return", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    for (const name of ["n1", "n2", "n3"]) t.fleet.kill(name);
    await t.until(() => all("v1", "Failed"), "failed");
    for (const name of ["n1", "n2", "n3"]) t.fleet.restart(name);
    await t.until(() => all("v1", "Healthy"), "healthy");
  });

  test("a budget leaves what it doesn't allow for later, and what has changed back by then is never written", async () => {
    t = await TestBrain.start();
    let writes = 0;
    await t.brain.stop();
    await t.store.close();
    await t.open(counting(() => writes++));
    await t.pass(1500);
    await t.importVolume("v1", 8);
    await t.until(() => all("v1", "Healthy"), "healthy");
    await t.brain.repair.pause();
    const { services } = t.brain;
    // The repair controller looks too, and this must be the only one that does.
    t.brain.repair.stop();
    const standing = services.standings.standing.bind(services.standings);
    const pool = services.catalogue.runs.all().next().value?.shardLocations[0]?.poolUuid ?? "";
    const hit = [...services.catalogue.runs.all()].filter((run) => run.shardLocations.some((l) => l.poolUuid === pool));
    expect(hit.length).toBeGreaterThan(3);
    services.standings.standing = (uuid) => (uuid === pool ? "lost" : standing(uuid));
    writes = 0;
    expect(await observeAll(services, budget(2))).toBe(2);
    expect(writes).toBe(2);
    expect((await statuses("v1")).filter(({ state }) => state === "Degraded")).toHaveLength(2);
    services.standings.standing = standing;
    expect(await observeAll(services, budget(100))).toBe(2);
    expect(writes).toBe(4);
    expect(await observeAll(services, budget(100))).toBe(0);
    expect(await all("v1", "Healthy")).toBe(true);
  });
});

test("a run that was never looked at is Writing until a node reports its pools, neither Failed nor Healthy, and Failed if none ever does", async () => {
  t = await TestBrain.start();
  await t.importVolume("v1", 1);
  const { catalogue } = t.brain.services;
  const [run] = await catalogue.freshRuns(catalogue.volume("v1"));
  if (run?.status === undefined) throw new Error("there is no run");
  const unseen: EcStripeStatus = { state: "Unwritten", missingShards: [], observedEpoch: 0, observedSeq: 0 };
  const again = async () => {
    const [now] = await catalogue.freshRuns(catalogue.volume("v1"));
    await t.store.updateStatus(ecStripeKind, { ...(now as EcStripe), status: unseen });
    await t.pass(300);
  };
  const { standings, inventory } = t.brain.services;
  const [standing, host] = [standings.standing.bind(standings), inventory.host.bind(inventory)];
  inventory.host = () => undefined;
  for (const unknown of ["unknown", "away"] as const) {
    standings.standing = () => unknown;
    await again();
    await t.until(() => all("v1", "Writing"), `writing while its pools are ${unknown}`, 10_000);
    const [status] = await statuses("v1");
    expect([status?.healthyShards, status?.missingShards]).toEqual([undefined, []]);
  }
  standings.standing = () => "lost";
  await t.until(() => all("v1", "Failed"), "failed", 10_000);
  await again();
  Object.assign(standings, { standing });
  Object.assign(inventory, { host });
  await t.until(() => all("v1", "Healthy"), "healthy", 10_000);
});

test("runs whose status nobody can write don't keep the others from theirs", async () => {
  t = await TestBrain.start();
  await t.brain.stop();
  await t.store.close();
  const unwritable = new Set<string>();
  await t.open(
    counting((name) => {
      if (unwritable.has(name)) throw new AppError("InvalidArgument", "the API server won't have it");
    }),
  );
  await t.pass(1500);
  await t.importVolume("v1", 8);
  await t.until(() => all("v1", "Healthy"), "healthy");
  const { services } = t.brain;
  // The repair controller looks too, and this must be the only one that does.
  await t.brain.stop();
  const names = [...services.catalogue.runs.all()].map(({ name }) => name);
  for (const name of names.slice(0, 3)) unwritable.add(name);
  services.standings.standing = () => "away";
  const refused = new Set<string>();
  for (let look = 0; look < 5; look++) {
    await observeAll(services, budget(2), refused);
  }
  const shown = [...services.catalogue.runs.all()].filter(({ shown }) => shown === "Failed").map(({ name }) => name);
  expect(shown).toEqual(names.slice(3));
  unwritable.clear();
  await observeAll(services, undefined, refused);
  expect([await all("v1", "Failed"), refused.size]).toEqual([true, 0]);
});

/** The store, with each status that is written told before it is. */
function counting(count: (name: string) => void): (store: ResourceStore) => ResourceStore {
  return (store) =>
    new Proxy(store, {
      get: (target, property) => {
        const value = Reflect.get(target, property) as unknown;
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (property === "updateStatus") {
            try {
              count((args[1] as EcStripe).metadata.name);
            } catch (error) {
              return Promise.reject(error);
            }
          }
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
}
