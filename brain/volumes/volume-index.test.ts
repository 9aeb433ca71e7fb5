import { expect, test } from "bun:test";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { VolumeIndex } from "./volume-index.ts";
import { newVolume, volumeSpecOf } from "./volume-rules.ts";

const prng = seededPrng(7);

function volume(resourceVersion: string): EcVolume {
  const request = {
    name: "v1",
    sizeBytes: 1 << 20,
    code: { family: "rs", k: 4, m: 2 } as const,
    stripeSizeBytes: 65_536,
    stripesPerRun: 4,
    importing: true,
  };
  const made = newVolume(request, volumeSpecOf(request, prng.uuid()), prng.uuid(), prng.uuid());
  return { ...made, metadata: { ...made.metadata, resourceVersion } };
}

test("a late event of a volume that was deleted does not displace the one that was made under its name since", () => {
  const index = new VolumeIndex();
  const [before, now] = [volume("150"), volume("200")];
  index.put(now);
  index.put(before);
  expect(index.all()).toEqual([now]);
  expect(index.byUuid(before.spec.volumeUuid)).toBeUndefined();
});

test("a newer volume of the name takes the place of the one before, and so does an older one when the store itself went back", () => {
  const index = new VolumeIndex();
  const [before, now] = [volume("150"), volume("200")];
  index.put(before);
  index.put(now);
  expect(index.all()).toEqual([now]);
  index.put(before, true);
  expect(index.all()).toEqual([before]);
});
