/** Very many ECStripes, as a brain that has stored that much has written them. */
import { apiVersion } from "@couchestor/common/crd/object.ts";
import type { KubeObject } from "../../kube/objects.ts";
import type { ControlPlane } from "../../testing/control-plane.ts";
import { ecStripeSample, ecVolumeSample } from "../../testing/crd-samples.ts";

const perVolume = 1_000;
const inFlight = 32;
const nodes = 12;
const path = "/apis/storage.billyronks.io/v1";

const uuid = (group: number, n: number): string =>
  `${group.toString(16).padStart(8, "0")}-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

/** Creates so many healthy ones, and the volumes that they belong to. */
export async function createStripes(plane: ControlPlane, count: number): Promise<void> {
  const volumes = Math.ceil(count / perVolume);
  for (let v = 0; v < volumes; v++) {
    const { spec, status } = ecVolumeSample;
    await create(plane, "ecvolumes", {
      apiVersion,
      kind: "ECVolume",
      metadata: { name: `ec-${v}` },
      spec: { ...spec, volumeUuid: uuid(1, v), sizeBytes: perVolume * 16 * 65_536, code: { family: "rs", k: 4, m: 2 } },
      status,
    });
  }
  const numbers = Array.from({ length: count }, (_, i) => i).values();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (const n of numbers) await create(plane, "ecstripes", stripe(n));
    }),
  );
}

function stripe(n: number): object {
  const [volume, first] = [Math.floor(n / perVolume), (n % perVolume) * 16];
  const { spec, status } = ecStripeSample;
  const [placement] = spec.placements;
  const { proposedPlacement: _, ...committed } = spec;
  return {
    apiVersion,
    kind: "ECStripe",
    metadata: { name: `ec-${volume}-${String(first).padStart(10, "0")}` },
    spec: {
      ...committed,
      volumeRef: `ec-${volume}`,
      volumeUuid: uuid(1, volume),
      journalId: uuid(2, volume),
      stripeId: first,
      firstStripe: first,
      lbaRange: { startBytes: first * 65_536, endBytes: (first + 16) * 65_536 },
      exceptions: [],
      placements: [
        {
          ...placement,
          shardLocations: (placement?.shardLocations ?? []).map((location, i) => ({
            ...location,
            poolUuid: uuid(3, (n + i) % nodes),
            nodeName: `node-${(n + i) % nodes}`,
            poolName: `pool-${(n + i) % nodes}`,
          })),
        },
      ],
    },
    status: { ...status, state: "Healthy", missingShards: [], shardHealth: [], conditions: [] },
  };
}

async function create(plane: ControlPlane, plural: string, object: object): Promise<void> {
  const { status, ...body } = object as KubeObject & { status?: unknown };
  const created = (await plane.request("POST", `${path}/${plural}`, body)) as KubeObject;
  const name = created.metadata.name;
  await plane.request("PUT", `${path}/${plural}/${name}/status`, { ...created, status });
}
