/**
 * Server-side apply, for CustomResourceDefinitions and manifests; everything else that the brain writes is compare-and-swap. What comes back
 * is compared with what was sent, because a field that was dropped on the way would otherwise be missed when it is needed.
 */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { type KubeClient, received } from "./client.ts";
import type { Discovery } from "./discovery.ts";
import { type KubeObject, keyOf, kubeTypes, pathOf } from "./objects.ts";

export const fieldManager = "couchestor";

export interface ApplyDeps {
  client: KubeClient;
  discovery: Discovery;
  clock: Clock;
}

export interface ApplyOptions {
  /** Take fields that another manager has set. Default: yes, these are ours. */
  force?: boolean;
  /** The API server checks and answers, and stores nothing. */
  dryRun?: boolean;
  /** Of objects whose manifest names none. */
  namespace?: string;
  signal?: AbortSignal;
  /** How long a definition may take until its kind is served. */
  establishedMsMax?: number;
}

/** Applies the objects: definitions and namespaces first, then the rest in the order given. Returns them as stored, in that order. */
export async function applyAll(
  deps: ApplyDeps,
  objects: readonly KubeObject[],
  options: ApplyOptions = {},
): Promise<KubeObject[]> {
  const first = objects.filter(comesFirst);
  const rest = objects.filter((object) => !comesFirst(object));
  const applied: KubeObject[] = [];
  for (const object of first) applied.push(await applyObject(deps, object, options));
  if (!options.dryRun) {
    for (const object of first) if (isDefinition(object)) await whenEstablished(deps, object.metadata.name, options);
  }
  for (const object of rest) applied.push(await applyObject(deps, object, options));
  return applied;
}

/** Applies one. Throws `InvalidArgument` with the fields the API server refuses, `Internal` with those that it dropped. */
export async function applyObject(
  deps: ApplyDeps,
  object: KubeObject,
  options: ApplyOptions = {},
): Promise<KubeObject> {
  const { force = true, dryRun = false, namespace = "default", signal } = options;
  const type = await deps.discovery.typeOf(object.apiVersion, object.kind, signal);
  const place = {
    name: object.metadata.name,
    ...(type.namespaced ? { namespace: object.metadata.namespace ?? namespace } : {}),
  };
  const stored = await deps.client.transport.request<KubeObject>({
    method: "PATCH",
    path: pathOf(type, place),
    // JSON is YAML.
    contentType: "application/apply-patch+yaml",
    query: { fieldManager, force, fieldValidation: "Strict", ...(dryRun ? { dryRun: "All" } : {}) },
    body: object,
    signal,
  });
  const lost = lostFields(object, stored);
  if (lost.length > 0) {
    throw new AppError("Internal", `${object.kind} ${keyOf(object)}: the API server dropped ${lost.join(", ")}`, {
      data: { kind: object.kind, name: object.metadata.name, lost },
    });
  }
  return received(type, stored);
}

/** Waits until the kind of a definition is served. Throws `FailedPrecondition` if its names are taken, `Timeout` otherwise. */
export async function whenEstablished(
  { client, clock }: ApplyDeps,
  name: string,
  options: ApplyOptions = {},
): Promise<void> {
  const { establishedMsMax = 30_000, signal } = options;
  const endMs = clock.monotonicMs() + establishedMsMax;
  for (;;) {
    const definition = await client.get<Definition>(kubeTypes.customResourceDefinition, { name }, { signal });
    const conditions = definition?.status?.conditions ?? [];
    const refused = conditions.find((condition) => condition.type === "NamesAccepted" && condition.status === "False");
    if (refused !== undefined) {
      throw new AppError(
        "FailedPrecondition",
        `CustomResourceDefinition ${name}: ${refused.message ?? "its names are taken"}`,
        { data: { name } },
      );
    }
    if (
      conditions.some((condition) => condition.type === "Established" && condition.status === "True") &&
      definition &&
      (await isServed(client, definition, signal))
    )
      return;
    if (clock.monotonicMs() >= endMs) {
      throw new AppError("Timeout", `CustomResourceDefinition ${name} was not served within ${establishedMsMax} ms`, {
        data: { name, establishedMsMax },
      });
    }
    await clock.sleep(50, signal);
  }
}

interface Definition extends KubeObject {
  spec: { group: string; names: { plural: string }; versions: { name: string; served: boolean }[] };
  status?: { conditions?: { type: string; status: string; message?: string }[] };
}

/** "Established" comes a moment before the lists are there. */
async function isServed(client: KubeClient, { spec }: Definition, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    for (const version of spec.versions.filter((candidate) => candidate.served)) {
      const path = `/apis/${spec.group}/${version.name}/${spec.names.plural}`;
      await client.transport.request({ method: "GET", path, query: { limit: 1 }, signal });
    }
    return true;
  } catch (error) {
    if (isAppError(error, "NotFound") || (isAppError(error) && error.retryable)) return false;
    throw error;
  }
}

/**
 * Paths that were sent and are not there, of any value but an empty one, which the API server may leave out. Values are not compared: it
 * writes some of them differently (`1000m`, `1`).
 */
export function lostFields(sent: unknown, stored: unknown, path = ""): string[] {
  if (isEmpty(sent)) return [];
  if (stored === undefined || stored === null) return [path];
  if (Array.isArray(sent)) {
    if (!Array.isArray(stored) || stored.length < sent.length) return [path];
    // Sets and maps keep no order; what is sent at an index may stand elsewhere.
    return sent.flatMap((item, i) => {
      const candidates = [stored[i], ...stored].map((other) => lostFields(item, other, `${path}[${i}]`));
      return candidates.some((lost) => lost.length === 0) ? [] : (candidates[0] ?? []);
    });
  }
  if (typeof sent !== "object") return [];
  if (typeof stored !== "object") return [path];
  return Object.entries(sent as object).flatMap(([key, value]) =>
    lostFields(value, (stored as Record<string, unknown>)[key], path === "" ? key : `${path}.${key}`),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false || value === 0) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.values(value as object).every(isEmpty);
}

function comesFirst(object: KubeObject): boolean {
  return isDefinition(object) || (object.kind === "Namespace" && object.apiVersion === "v1");
}

function isDefinition(object: KubeObject): boolean {
  return object.kind === "CustomResourceDefinition" && object.apiVersion.startsWith("apiextensions.k8s.io/");
}

/** The objects of a YAML text with any number of documents. Throws `InvalidArgument` naming the document that is none. */
export function manifestsOf(yaml: string, what: string): KubeObject[] {
  let parsed: unknown;
  try {
    parsed = Bun.YAML.parse(yaml);
  } catch (cause) {
    throw new AppError("InvalidArgument", `${what} is not YAML: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
  const documents = (Array.isArray(parsed) ? parsed : [parsed]).filter(
    (document) => document !== null && document !== undefined,
  );
  return documents.map((document: Partial<KubeObject>, index) => {
    for (const field of ["apiVersion", "kind"] as const) {
      if (typeof document[field] !== "string") throw notAnObject(what, index, field);
    }
    if (typeof document.metadata?.name !== "string") throw notAnObject(what, index, "metadata.name");
    return document as KubeObject;
  });
}

function notAnObject(what: string, index: number, field: string): AppError {
  return new AppError(
    "InvalidArgument",
    `${what}: document ${index + 1}: ${field}: got nothing, every Kubernetes object has one`,
    {
      data: { document: index + 1, field },
    },
  );
}
