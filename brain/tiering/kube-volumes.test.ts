import { describe, expect, test } from "bun:test";
import type { KubeObject } from "../kube/objects.ts";
import { mayastorDriver } from "../mayastor/mapping.ts";
import { cooldownOf, lastMigrationAnnotation } from "./cooldown.ts";
import { claimedVolumes, keepClaim, keepPersistentVolume } from "./kube-volumes.ts";
import { sampleNowMs, samplePolicy, sampleVolume } from "./testing/decision-samples.ts";

interface VolumeParts {
  driver?: unknown;
  handle?: unknown;
  claimRef?: object | undefined;
  storage?: unknown;
  annotations?: Record<string, string>;
}

const claimRef = { namespace: "shop", name: "orders", uid: "uid-1" };
const claim = {
  kind: "PersistentVolumeClaim",
  metadata: { namespace: "shop", name: "orders", uid: "uid-1", labels: { a: "b" } },
};

function persistentVolume(parts: VolumeParts = {}): KubeObject {
  const { driver = mayastorDriver, handle = "u-1", storage = "1Gi", annotations = {} } = parts;
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "pvc-1", annotations },
    spec: {
      capacity: { storage },
      storageClassName: "mayastor",
      csi: { driver, volumeHandle: handle },
      ...("claimRef" in parts ? (parts.claimRef === undefined ? {} : { claimRef: parts.claimRef }) : { claimRef }),
    },
  } as unknown as KubeObject;
}

const seen = (parts: VolumeParts = {}, claims: object[] = [claim]) => {
  const kept = claims.map((object) => keepClaim(object as KubeObject));
  const of = (key: string) => kept.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key);
  return [...claimedVolumes([keepPersistentVolume(persistentVolume(parts))], of)];
};

describe("volumes that Kubernetes knows of", () => {
  test("are watched with what their claim says of them", () => {
    expect(seen()).toEqual([
      {
        uuid: "u-1",
        name: "pvc-1",
        claim: { namespace: "shop", name: "orders", labels: { a: "b" } },
        storageClassName: "mayastor",
        sizeBytes: 2 ** 30,
        lastMigration: undefined,
      },
    ]);
  });

  test("are nobody's without a claim, or when their claim is gone or was made anew under its name", () => {
    expect(seen({ claimRef: undefined })).toEqual([]);
    expect(seen({}, [])).toEqual([]);
    expect(seen({}, [{ ...claim, metadata: { ...claim.metadata, uid: "uid-2" } }])).toEqual([]);
    expect(seen({}, [{ ...claim, metadata: { ...claim.metadata, namespace: "other" } }])).toEqual([]);
  });

  test("of another driver, or of none, are no business of ours", () => {
    expect(seen({ driver: "ebs.csi.aws.com" })).toEqual([]);
    expect(seen({ driver: 7, handle: null })).toEqual([]);
    expect(seen({ handle: "" })).toEqual([]);
    const bare = { apiVersion: "v1", kind: "PersistentVolume", metadata: { name: "nfs" }, spec: { nfs: {} } };
    expect(keepPersistentVolume(bare as unknown as KubeObject)).toMatchObject({ driver: "", claim: undefined });
    expect(keepPersistentVolume({ apiVersion: "v1", kind: "PersistentVolume", metadata: { name: "x" } })).toMatchObject(
      {
        sizeBytes: 0,
      },
    );
  });
});

describe("cooldown", () => {
  const at = (minutesAgo: number) => new Date(sampleNowMs - minutesAgo * 60_000).toISOString();
  const held = (annotation: string | undefined, remembered: number | undefined) => {
    const policy = samplePolicy("p", {
      cooldownMs: 3_600_000,
      lastMoves: new Map(remembered === undefined ? [] : [["pvc-1", sampleNowMs - remembered * 60_000]]),
    });
    const volume = sampleVolume("pvc-1", [], annotation === undefined ? {} : { lastMigration: annotation });
    return cooldownOf(policy, volume, sampleNowMs);
  };

  test("counts from the later of the volume's annotation and the policy's memory", () => {
    expect(held(undefined, undefined)).toBeUndefined();
    expect(held(at(61), 61)).toBeUndefined();
    expect(held(at(50), 90)).toMatchObject({ reason: "Cooldown", notBeforeMs: sampleNowMs + 10 * 60_000 });
    expect(held(at(90), 20)).toMatchObject({ reason: "Cooldown", notBeforeMs: sampleNowMs + 40 * 60_000 });
    expect(held(at(90), 20)?.message).toContain("cooling down for another 40m");
  });

  test("holds on to a volume whose annotation can't be read, and names the annotation; one of the future is doubted", () => {
    expect(held("yesterday", 90)).toMatchObject({
      reason: "AnnotationUnreadable",
      message: expect.stringContaining(`the annotation ${lastMigrationAnnotation} of PersistentVolume pvc-1`),
    });
    expect(held(at(-5), undefined)?.message).toContain("is a clock wrong?");
  });
});
