import { expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import type { CallOptions } from "../kube/client.ts";
import type { KubeObject, ObjectType } from "../kube/objects.ts";
import { LeaderEndpoints, type LeaderPlace, sliceName, withLeader } from "./leader-endpoints.ts";

const place: LeaderPlace = { namespace: "couchestor", service: "brain", address: "10.0.0.7", pod: "brain-a" };
const metadata = (resourceVersion: string) => ({ name: "brain-ipv4", namespace: "couchestor", resourceVersion });
const empty = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  addressType: "IPv4",
  metadata: metadata("1"),
};

/** One slice behind compare-and-swap, as the API server keeps it. */
class OneSlice {
  object: KubeObject | undefined = empty;
  writes = 0;
  fail: Error | undefined;
  line: Promise<void> | undefined;

  get = async <T extends KubeObject>(_: ObjectType, { name }: { name: string }): Promise<T | undefined> => {
    if (this.fail !== undefined) throw this.fail;
    return name === this.object?.metadata.name ? (structuredClone(this.object) as T) : undefined;
  };

  replace = async <T extends KubeObject>(_: ObjectType, next: T, { before }: CallOptions = {}): Promise<T> => {
    // The call waits for its turn, and for credentials.
    await this.line;
    before?.();
    if (this.fail !== undefined) throw this.fail;
    if (next.metadata.resourceVersion !== this.object?.metadata.resourceVersion) throw new AppError("Conflict", "409");
    this.writes += 1;
    this.object = { ...next, metadata: metadata(String(this.writes + 1)) };
    return this.object as T;
  };

  get addresses(): string[] {
    const { endpoints } = (this.object ?? {}) as { endpoints?: { addresses: string[] }[] };
    return (endpoints ?? []).flatMap(({ addresses }) => addresses);
  }
}

function leader(client: OneSlice, clock: FakeClock, where = place) {
  const term = new AbortController();
  const leadership = { signal: term.signal, assertLeader: () => term.signal.throwIfAborted() };
  const part = new LeaderEndpoints({ client, clock, logger: silentLogger(), leadership }, where, () => 7400);
  return { part, term };
}

test("each kind of address has a slice of its own, and a slice that is right is left alone", () => {
  expect([sliceName(place), sliceName({ ...place, address: "fd00::7" })]).toEqual(["brain-ipv4", "brain-ipv6"]);
  const once = withLeader(empty, place, 7400);
  expect(once).toMatchObject({
    endpoints: [{ addresses: ["10.0.0.7"], conditions: { ready: true }, targetRef: { kind: "Pod", name: "brain-a" } }],
    ports: [{ name: "cluster", port: 7400, protocol: "TCP" }],
  });
  expect(once && withLeader(once, place, 7400)).toBeUndefined();
  expect(once && withLeader(once, place, 7401)).toBeDefined();
});

test("a leader writes its address once, and again when somebody else has written there", async () => {
  const [client, clock] = [new OneSlice(), new FakeClock()];
  const { part } = leader(client, clock);
  part.start();
  await clock.advance(120_000);
  expect([client.writes, client.addresses]).toEqual([1, ["10.0.0.7"]]);
  client.object = { ...empty, metadata: metadata("77") };
  await clock.advance(40_000);
  expect([client.writes, client.addresses]).toEqual([2, ["10.0.0.7"]]);
  await part.stop();
});

test("a write that fails or is overtaken is tried again; a slice that isn't there is waited for", async () => {
  const [client, clock] = [new OneSlice(), new FakeClock()];
  const { part } = leader(client, clock);
  client.fail = new AppError("Unavailable", "no API server");
  part.start();
  await clock.advance(3_000);
  client.fail = new AppError("Conflict", "409");
  await clock.advance(3_000);
  client.fail = undefined;
  client.object = undefined;
  await clock.advance(3_000);
  client.object = empty;
  await clock.advance(40_000);
  expect([client.writes, client.addresses]).toEqual([1, ["10.0.0.7"]]);
  await part.stop();
});

test("one whose term ended between its look and its write writes nothing over its successor", async () => {
  const [client, clock] = [new OneSlice(), new FakeClock()];
  const old = leader(client, clock);
  const held = Promise.withResolvers<void>();
  const { get } = client;
  client.get = async (type, where) => {
    const found = await get(type, where);
    await held.promise;
    return found as never;
  };
  old.part.start();
  await clock.advance(0);
  client.get = get;
  const next = leader(client, clock, { ...place, address: "10.0.0.8" });
  next.part.start();
  await clock.advance(0);
  old.term.abort(new AppError("Cancelled", "lost"));
  held.resolve();
  await clock.advance(120_000);
  expect([client.writes, client.addresses]).toEqual([1, ["10.0.0.8"]]);
  await Promise.all([old.part.stop(), next.part.stop()]);
});

test("a term that ends while the write waits in line leads nobody to a brain that leads no more", async () => {
  const [client, clock] = [new OneSlice(), new FakeClock()];
  const turn = Promise.withResolvers<void>();
  client.line = turn.promise;
  const { part, term } = leader(client, clock);
  part.start();
  await clock.advance(1_000);
  term.abort(new Error("lost"));
  turn.resolve();
  await part.stop();
  expect([client.writes, client.addresses]).toEqual([0, []]);
});
