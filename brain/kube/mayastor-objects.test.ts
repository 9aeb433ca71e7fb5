import { expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { objectWarnings } from "../tiering/object-warnings.ts";
import type { KubeClient } from "./client.ts";
import { MayastorObjects } from "./mayastor-objects.ts";

/** An API server that serves these kinds of `openebs.io`, by version. */
function server(served: Record<string, Record<string, object[] | "forbidden">>, group = "well") {
  const asked: string[] = [];
  const request = async ({ path }: { path: string }) => {
    asked.push(path);
    if (group === "down") throw new AppError("Unavailable", "nobody answers");
    if (path === "/apis/openebs.io") {
      if (Object.keys(served).length === 0) throw new AppError("NotFound", "no such group");
      return { versions: Object.keys(served).map((version) => ({ groupVersion: `openebs.io/${version}` })) };
    }
    const kinds = served[path.split("/").at(-1) ?? ""] ?? {};
    const resources = Object.keys(kinds).map((kind) => ({ name: `${kind.toLowerCase()}s`, kind, namespaced: true }));
    return { resources };
  };
  const list = async ({ version, kind }: { version: string; kind: string }) => {
    const items = served[version]?.[kind];
    if (items === "forbidden") throw new AppError("FailedPrecondition", `may not list ${kind}`);
    return { items: items ?? [], resourceVersion: "1" };
  };
  return { asked, client: { transport: { request }, list } as unknown as KubeClient };
}

const pool = (name: string, labelled: object | undefined) => ({ metadata: { name }, spec: { topology: { labelled } } });

test("DiskPools are read in whichever version is served, and labels that Mayastor doesn't have are told", async () => {
  for (const version of ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"]) {
    const diskPools = [
      pool("hot-1", { tier: "hot", zone: "a" }),
      pool("cold-1", { tier: "hot" }),
      pool("gone", { tier: "x" }),
      pool("bare", undefined),
    ];
    const { client } = server({ [version]: { DiskPool: diskPools } });
    const seen = await new MayastorObjects(client, new FakeClock()).look();
    const pools = [
      { name: "hot-1", labels: { tier: "hot" } },
      { name: "cold-1", labels: { tier: "cold" } },
      { name: "bare", labels: {} },
    ];
    expect(objectWarnings(seen, pools)).toEqual([
      "DiskPool hot-1 says zone=a, and Mayastor has no label zone: what Mayastor has counts",
      "DiskPool cold-1 says tier=hot, and Mayastor has tier=cold: what Mayastor has counts",
    ]);
  }
});

test("MayastorVolumes of the first generation are told, beside DiskPools of a newer version", async () => {
  const { client } = server({
    v1beta3: { DiskPool: [] },
    v1alpha1: { MayastorVolume: [{ metadata: { name: "u-1" } }] },
  });
  const seen = await new MayastorObjects(client, new FakeClock()).look();
  expect([...seen.firstGeneration]).toEqual(["u-1"]);
  expect(objectWarnings(seen, [])).toEqual([
    expect.stringContaining("1 MayastorVolume(s) of openebs.io/v1alpha1 (u-1): UnsupportedVersion"),
  ]);
});

test("a cluster without them, one that forbids it and one that doesn't answer stop nothing, and are asked once a minute", async () => {
  const none = server({});
  const clock = new FakeClock();
  const objects = new MayastorObjects(none.client, clock);
  for (let i = 0; i < 3; i++) expect(objectWarnings(await objects.look(), [])).toEqual([]);
  expect(none.asked).toHaveLength(1);
  await clock.advance(60_000);
  await objects.look();
  expect(none.asked).toHaveLength(2);
  const forbidden = await new MayastorObjects(server({ v1beta3: { DiskPool: "forbidden" } }).client, clock).look();
  expect(objectWarnings(forbidden, [])).toEqual([expect.stringContaining("may not list DiskPool")]);
  const down = await new MayastorObjects(server({}, "down").client, clock).look();
  expect(objectWarnings(down, [])).toEqual([expect.stringContaining("nobody answers")]);
});
