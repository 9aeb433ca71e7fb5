/** What lists by values of fields must do in every resource store. */
import { expect, test } from "bun:test";
import { type EcStripe, ecStripeKind, stripeObjectName } from "@couchestor/common/crd/ec-stripe.ts";
import { ecStripeSample } from "../testing/crd-samples.ts";
import { expectCode } from "./conformance-objects.ts";
import type { ResourceStore } from "./ports.ts";

/** A volume uuid that no other test uses. */
export const stripeUuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

export function stripeOf(volumeRef: string, volumeUuid: string, firstStripe: number): EcStripe {
  const { status: _, ...sample } = ecStripeSample;
  const spec = { ...sample.spec, volumeRef, volumeUuid, firstStripe, stripeId: firstStripe };
  return { ...sample, metadata: { name: stripeObjectName(volumeRef, firstStripe) }, spec };
}

export function selectionConformance(store: () => ResourceStore): void {
  const names = async (prefix: string, fields: Record<string, string>) =>
    (await store().list(ecStripeKind, prefix, fields)).items.map((item) => item.metadata.name);

  test("a list has the objects with all of those values, of that prefix and in order of name, and no others", async () => {
    const [a, b] = [stripeUuid(1), stripeUuid(2)];
    // A volume's name may be the beginning of another's, and a volume of an old name is another.
    await store().create(ecStripeKind, stripeOf("sel", a, 16));
    await store().create(ecStripeKind, stripeOf("sel", a, 0));
    await store().create(ecStripeKind, stripeOf("sel", b, 32));
    await store().create(ecStripeKind, stripeOf("sel-2", b, 0));
    expect(await names("", { volumeUuid: a })).toEqual(["sel-0000000000", "sel-0000000016"]);
    expect(await names("sel-", { volumeUuid: b })).toEqual(["sel-0000000032", "sel-2-0000000000"]);
    expect(await names("", { volumeUuid: b, volumeRef: "sel" })).toEqual(["sel-0000000032"]);
    expect(await names("sel-2", { volumeUuid: a })).toEqual([]);
    expect(await names("", { volumeUuid: "a\\,b=c" })).toEqual([]);
    const paged: string[] = [];
    for await (const { items } of store().pages(ecStripeKind, { fields: { volumeUuid: b } })) {
      paged.push(...items.map((item) => item.metadata.name));
    }
    expect(paged.sort()).toEqual(["sel-0000000032", "sel-2-0000000000"]);
  });

  test("an object is found by the value that it has now", async () => {
    const [before, after] = [stripeUuid(3), stripeUuid(4)];
    const created = await store().create(ecStripeKind, stripeOf("moved", before, 0));
    await store().update(ecStripeKind, { ...created, spec: { ...created.spec, volumeUuid: after } });
    expect(await names("", { volumeUuid: before })).toEqual([]);
    expect(await names("", { volumeUuid: after })).toEqual(["moved-0000000000"]);
  });

  test("a field by which nothing is listed is refused, and never ignored", async () => {
    const error = await expectCode(store().list(ecStripeKind, "", { journalId: stripeUuid(1) }), "InvalidArgument");
    expect(error.data["field"]).toBe("spec.journalId");
    await expectCode(Array.fromAsync(store().pages(ecStripeKind, { fields: { nothing: "" } })), "InvalidArgument");
  });
}
