/** What informers keep of ECVolumes and ECStripes for the tally: a hundred bytes and not kilobytes of each, since there are very many. */
import { type EcStripeStatus, stripeStates } from "@couchestor/common/crd/ec-stripe.ts";
import type { Resource } from "@couchestor/common/crd/object.ts";
import type { KubeObject } from "../kube/objects.ts";
import type { TalliedStripe, TalliedVolume } from "./stripe-tally.ts";

interface KeptMetadata {
  name: string;
  resourceVersion?: string;
}

type Kept<T> = Omit<T, "metadata"> & { metadata: KeptMetadata };

interface RawObject extends KubeObject {
  spec?: { volumeRef?: unknown; policyRef?: unknown };
  status?: { state?: unknown };
}

const namesMax = 100_000;

/** Names that very many objects repeat, each kept once; of more than so many all are forgotten, since most are of volumes that are gone. */
export class NamePool {
  readonly #names = new Map<string, string>();
  readonly #max: number;

  constructor(max = namesMax) {
    this.#max = max;
  }

  get size(): number {
    return this.#names.size;
  }

  one(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (this.#names.size >= this.#max) this.#names.clear();
    this.#names.set(name, name);
    return name;
  }
}

/** A resource as an informer may keep it. */
export type KeptResource<R extends Resource> = R & { metadata: { resourceVersion?: string } };

/** For an informer of a kind that is kept whole. The API server has checked it by the same schema. */
export function keepWhole<R extends Resource>(): (object: KubeObject) => KeptResource<R> {
  return (object) => object as unknown as KeptResource<R>;
}

/** For an informer of ECStripes. */
export function keepStripe(names: NamePool): (object: KubeObject) => Kept<TalliedStripe> {
  return (object) => {
    const { spec, status } = object as RawObject;
    return {
      metadata: metadataOf(object),
      volumeRef: names.one(String(spec?.volumeRef ?? "")),
      state: stateOf(status?.state),
    };
  };
}

/** For an informer of ECVolumes. */
export function keepVolume(names: NamePool): (object: KubeObject) => Kept<TalliedVolume> {
  return (object) => {
    const policyRef = (object as RawObject).spec?.policyRef;
    return {
      metadata: metadataOf(object),
      policyRef: typeof policyRef === "string" ? names.one(policyRef) : undefined,
    };
  };
}

function metadataOf({ metadata: { name, resourceVersion } }: KubeObject): KeptMetadata {
  return resourceVersion === undefined ? { name } : { name, resourceVersion };
}

/** A run without a status was never written; a state of another version counts as the worst, since nobody knows better. */
function stateOf(state: unknown): EcStripeStatus["state"] {
  if (state === undefined) return "Unwritten";
  return (stripeStates as readonly unknown[]).includes(state) ? (state as EcStripeStatus["state"]) : "Failed";
}
