import { describe, expect, test } from "bun:test";
import { storagePolicySpecSchema } from "@couchestor/common/crd/storage-policy.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { type AdmissionFacts, admit } from "./admit.ts";
import { reviewBytesMax, webhookApp } from "./app.ts";
import type { ReviewRequest } from "./review.ts";

const tiers = {
  hotPoolSelector: { matchLabels: { tier: "hot" } },
  warmPoolSelector: { matchLabels: { tier: "warm" } },
  coldPoolSelector: { matchLabels: { tier: "cold" } },
};
const other = { name: "other", spec: storagePolicySpecSchema.parse({ ...tiers, ecPolicyRef: "wide" }) };
const facts: AdmissionFacts = {
  erasureCodingPolicyExists: (name) => name === "wide",
  storagePolicies: () => [other],
  volumesOf: (name) => (name === "wide" ? 3 : 0),
};

function request(kind: string, fields: Partial<ReviewRequest>): ReviewRequest {
  return {
    uid: "u1",
    kind: { group: "storage.billyronks.io", version: "v1", kind },
    name: "mine",
    operation: "CREATE",
    ...fields,
  } as ReviewRequest;
}

const elsewhere = { ...tiers, storageClassName: "elsewhere" };

describe("admit", () => {
  test("limits that no rule of the schema has are refused by name", () => {
    const made = request("StoragePolicy", { object: { spec: { ...elsewhere, samplingWindow: "10s" } } });
    expect(admit(made, facts).problems).toEqual(['samplingWindow: got "10s", allowed is 1m to 30d']);
    const code = request("ErasureCodingPolicy", { object: { spec: { scrubInterval: "1m" } } });
    expect(admit(code, facts).problems).toEqual(['scrubInterval: got "1m", allowed is 1h to 365d']);
    const shape = request("StoragePolicy", { object: { spec: { ...elsewhere, dryRun: "yes" } } });
    expect(admit(shape, facts).problems[0]).toStartWith("spec.dryRun: ");
  });

  test("deprecated fields, unknown policies and rival claims are warnings", () => {
    const made = request("StoragePolicy", {
      object: { spec: { ...tiers, nvmePoolSelector: { matchLabels: { a: "b" } }, ecPolicyRef: "nowhere" } },
    });
    expect(admit(made, facts)).toEqual({
      problems: [],
      warnings: [
        "nvmePoolSelector is deprecated: use hotPoolSelector; hotPoolSelector is set too and wins",
        "ecPolicyRef: there is no ErasureCodingPolicy nowhere (yet)",
        "StoragePolicy other claims volumes of StorageClass mayastor too; of two that claim one volume the older wins",
      ],
    });
    const itself = request("StoragePolicy", { name: "other", object: { spec: { ...tiers } } });
    expect(admit(itself, facts).warnings).toEqual([]);
    const apart = request("StoragePolicy", { object: { spec: { ...elsewhere, ecPolicyRef: "wide" } } });
    expect(admit(apart, facts)).toEqual({ problems: [], warnings: [] });
  });

  test("an object that was accepted once can be labelled, finalized and deleted, whatever its spec", () => {
    const spec = { ...tiers, samplingWindow: "10s" };
    const update = (fields: Partial<ReviewRequest>) =>
      admit(request("StoragePolicy", { operation: "UPDATE", ...fields }), facts);
    const labelled = { object: { metadata: { labels: { a: "b" } }, spec }, oldObject: { spec } };
    expect(update(labelled).problems).toEqual([]);
    const leaving = {
      object: { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" }, spec },
      oldObject: { spec: {} },
    };
    expect(update(leaving).problems).toEqual([]);
    expect(update({ object: { spec }, oldObject: { spec: { ...spec, samplingWindow: "1h" } } }).problems).toHaveLength(
      1,
    );
    expect(update({ subResource: "status", object: { spec }, oldObject: { spec: {} } }).problems).toEqual([]);
  });

  test("the deletion of a policy in use says what becomes of its volumes; other kinds are no business of ours", () => {
    const gone = request("ErasureCodingPolicy", {
      operation: "DELETE",
      name: "wide",
      object: null,
      oldObject: { spec: {} },
    });
    expect(admit(gone, facts)).toEqual({
      problems: [],
      warnings: [
        "3 volume(s) were made by wide; they keep their code and their data, but no policy",
        "StoragePolicy other names wide in ecPolicyRef",
      ],
    });
    const pod = { ...request("Pod", {}), kind: { group: "", version: "v1", kind: "Pod" } };
    expect(admit(pod, facts)).toEqual({ problems: [], warnings: [] });
    expect(admit(request("ECVolume", { object: { spec: {} } }), facts)).toEqual({ problems: [], warnings: [] });
  });
});

describe("the route", () => {
  const errors: unknown[] = [];
  const app = webhookApp({ facts, clock: new FakeClock(), onError: (error) => errors.push(error) });
  const post = (body: string | Uint8Array<ArrayBuffer>) => app.request("/validate", { method: "POST", body });
  const review = (fields: object) =>
    JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", ...fields });

  test("answers with the uid, the reason and warnings, none longer than an API server shows", async () => {
    const spec = { ...elsewhere, samplingWindow: "10s", ecPolicyRef: "x".repeat(250) };
    const response = await post(review({ request: request("StoragePolicy", { object: { spec } }) }));
    const answer = (await response.json()) as { response: { warnings: string[] } };
    expect(answer).toMatchObject({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: {
        uid: "u1",
        allowed: false,
        status: {
          code: 422,
          message: 'StoragePolicy mine is invalid: samplingWindow: got "10s", allowed is 1m to 30d',
        },
      },
    });
    expect(answer.response.warnings.map((warning) => warning.length)).toEqual([256]);
  });

  test("what is no review is refused with what is wrong with it", async () => {
    const bad: [string | Uint8Array<ArrayBuffer>, number, string][] = [
      ["", 400, "not JSON"],
      ["{", 400, "not JSON"],
      [new Uint8Array([0xff]), 400, "not JSON"],
      ["{}", 400, "apiVersion"],
      [review({}), 400, "request"],
      [review({ request: { ...request("StoragePolicy", {}), operation: "EAT" } }), 400, "operation"],
      [" ".repeat(reviewBytesMax + 1), 413, "at most"],
    ];
    for (const [body, status, text] of bad) {
      const response = await post(body);
      expect([response.status, ((await response.json()) as { detail: string }).detail]).toEqual([
        status,
        expect.stringContaining(text),
      ]);
    }
    expect((await app.request("/validate")).status).toBe(404);
    expect(errors.length).toBe(bad.length);
  });
});
