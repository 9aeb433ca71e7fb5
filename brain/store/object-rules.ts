/**
 * The rules of resources, pure: what a store checks, fills in and keeps on each write, whatever it is made of.
 * Texts are the JSON that is stored; `metadata` there is without `resourceVersion`, which is the row's revision.
 */
import {
  apiVersion,
  type Metadata,
  metadataSchema,
  type Resource,
  type ResourceKind,
} from "@couchestor/common/crd/object.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { z } from "zod";

/** The largest object, as JSON in UTF-8: what etcd and Kubernetes accept, less some room for their own framing. */
export const objectBytesMax = 1024 * 1024;

export interface ObjectTexts {
  metadata: string;
  spec: string;
  status: string | null;
}

export interface Row extends ObjectTexts {
  name: string;
  revision: number;
}

/** What a write does to the row: `put` stores these texts, `remove` takes the row out, `none` changes nothing. */
export type Outcome = { action: "put" | "remove"; texts: ObjectTexts } | { action: "none" };

/** The parts of an object, checked by its kind's schemas. Throws `InvalidArgument` naming the path of the first problem, or `TooLarge`. */
export function checkedTexts<S, T>(kind: ResourceKind<S, T>, object: Resource<S, T>): ObjectTexts & { meta: Metadata } {
  if (object.kind !== kind.kind) throw invalid(kind.kind, "kind", `got "${object.kind}", must be "${kind.kind}"`);
  if (object.apiVersion !== apiVersion) {
    throw invalid(kind.kind, "apiVersion", `got "${object.apiVersion}", must be "${apiVersion}"`);
  }
  const meta = checked(kind.kind, metadataSchema, object.metadata, "metadata");
  const spec = JSON.stringify(checked(kind.kind, kind.spec, object.spec, "spec"));
  const status =
    object.status === undefined ? null : JSON.stringify(checked(kind.kind, kind.status, object.status, "status"));
  const metadata = metadataText(meta);
  limitSize(kind.kind, meta.name, { metadata, spec, status });
  return { meta, metadata, spec, status };
}

/** Throws `TooLarge` if the three texts together exceed `objectBytesMax`. */
export function limitSize(kind: string, name: string, texts: ObjectTexts): void {
  const bytes =
    Buffer.byteLength(texts.metadata) + Buffer.byteLength(texts.spec) + Buffer.byteLength(texts.status ?? "");
  if (bytes <= objectBytesMax) return;
  throw new AppError("TooLarge", `${kind} ${name}: ${bytes} bytes as JSON; at most ${objectBytesMax} are stored`, {
    data: { kind, name, bytes, bytesMax: objectBytesMax },
  });
}

/** A new object: uid, generation 1 and creationTimestamp are the store's; whatever came in their place is ignored. */
export function createdTexts<S, T>(
  kind: ResourceKind<S, T>,
  object: Resource<S, T>,
  identity: { uid: string; creationTimestamp: string },
): ObjectTexts {
  const { meta, spec, status } = checkedTexts(kind, object);
  if (meta.resourceVersion !== undefined) {
    throw invalid(kind.kind, "metadata.resourceVersion", "must not be set on an object to be created");
  }
  const { deletionTimestamp: _, ...rest } = meta;
  return { metadata: metadataText({ ...rest, ...identity, generation: 1 }), spec, status };
}

/**
 * An update of metadata and spec. Status, uid, creation and deletion time stay as stored; generation rises if the spec differs.
 * The last finalizer's going removes an object that is being deleted. An update that changes nothing is no change.
 */
export function updateOutcome(kind: string, current: Row, came: ObjectTexts & { meta: Metadata }): Outcome {
  const stored = parsedMetadata(kind, current);
  if (came.meta.uid !== undefined && came.meta.uid !== stored.uid) {
    throw new AppError("Conflict", `${kind} ${current.name}: another object took this name (uid ${stored.uid})`, {
      data: { kind, name: current.name, uid: stored.uid, gotUid: came.meta.uid },
    });
  }
  const finalizers = came.meta.finalizers ?? [];
  const added = finalizers.filter((finalizer) => !stored.finalizers?.includes(finalizer));
  if (stored.deletionTimestamp !== undefined && added.length > 0) {
    throw invalid(
      kind,
      "metadata.finalizers",
      `${added.join(", ")}: none may be added while the object is being deleted`,
    );
  }
  const specChanged = came.spec !== current.spec && !Bun.deepEquals(JSON.parse(came.spec), JSON.parse(current.spec));
  const { deletionTimestamp: _, ...free } = came.meta;
  const meta: Metadata = {
    ...free,
    uid: stored.uid,
    creationTimestamp: stored.creationTimestamp,
    generation: (stored.generation ?? 0) + (specChanged ? 1 : 0),
    ...(stored.deletionTimestamp === undefined ? {} : { deletionTimestamp: stored.deletionTimestamp }),
  };
  const texts = { metadata: metadataText(meta), spec: came.spec, status: current.status };
  if (stored.deletionTimestamp !== undefined && finalizers.length === 0) return { action: "remove", texts };
  if (!specChanged && Bun.deepEquals(JSON.parse(texts.metadata), stored)) return { action: "none" };
  limitSize(kind, current.name, texts);
  return { action: "put", texts };
}

/** A new status; everything else stays as stored. */
export function statusOutcome(kind: string, current: Row, status: string): Outcome {
  if (status === current.status) return { action: "none" };
  if (current.status !== null && Bun.deepEquals(JSON.parse(status), JSON.parse(current.status)))
    return { action: "none" };
  const texts = { metadata: current.metadata, spec: current.spec, status };
  limitSize(kind, current.name, texts);
  return { action: "put", texts };
}

/** A deletion: without finalizers the object goes, with them it is marked, once. */
export function deleteOutcome(kind: string, current: Row, deletionTimestamp: string): Outcome {
  const meta = parsedMetadata(kind, current);
  const texts = { metadata: current.metadata, spec: current.spec, status: current.status };
  if ((meta.finalizers ?? []).length === 0) return { action: "remove", texts };
  if (meta.deletionTimestamp !== undefined) return { action: "none" };
  return { action: "put", texts: { ...texts, metadata: metadataText({ ...meta, deletionTimestamp }) } };
}

/** The object that a row holds, checked by its kind's schemas again. Throws `Internal` with what to do if it does not hold. */
export function objectOf<S, T>(kind: ResourceKind<S, T>, row: Row): Resource<S, T> {
  try {
    const metadata = { ...parsedMetadata(kind.kind, row), resourceVersion: String(row.revision) };
    const spec = checked(kind.kind, kind.spec, JSON.parse(row.spec), "spec");
    const object: Resource<S, T> = { apiVersion, kind: kind.kind, metadata, spec };
    if (row.status !== null) object.status = checked(kind.kind, kind.status, JSON.parse(row.status), "status");
    return object;
  } catch (cause) {
    throw damaged(kind.kind, row.name, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** The error of a row that is not what was written. */
export function damaged(kind: string, name: string, why: string, cause?: unknown): AppError {
  return new AppError(
    "Internal",
    `${kind} ${name}: its row in the database is damaged (${why}). Rebuild the database from the disks: ` +
      "stop the brain, keep the file, start the brain with a fresh data directory and run `couchestor volume recover`",
    { data: { kind, name, why }, cause },
  );
}

/** `resourceVersion` is opaque to callers; here it is a revision. Throws `InvalidArgument` when it is absent or was never ours. */
export function revisionOf(kind: string, field: string, text: string | undefined): number {
  const revision = text === undefined || !/^\d{1,16}$/.test(text) ? Number.NaN : Number(text);
  if (Number.isSafeInteger(revision)) return revision;
  throw invalid(kind, field, `got ${JSON.stringify(text) ?? "nothing"}, must be the value of an object that was read`);
}

function parsedMetadata(kind: string, row: Row): Metadata {
  try {
    const meta = metadataSchema.parse(JSON.parse(row.metadata));
    if (meta.name !== row.name) throw new Error(`metadata.name is "${meta.name}"`);
    return meta;
  } catch (cause) {
    throw damaged(kind, row.name, "metadata does not parse", cause);
  }
}

function metadataText(meta: Metadata): string {
  const { resourceVersion: _, ...rest } = meta;
  return JSON.stringify(rest);
}

function checked<V>(kind: string, schema: z.ZodType<V>, value: unknown, root: string): V {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, 5).map((issue) => ({
    path: [root, ...issue.path.map(String)].join("."),
    message: issue.message,
  }));
  const text = issues.map((issue) => `${issue.path}: ${issue.message}`).join("; ");
  throw new AppError("InvalidArgument", `${kind}: ${text}`, { data: { kind, field: issues[0]?.path ?? root, issues } });
}

function invalid(kind: string, field: string, why: string): AppError {
  return new AppError("InvalidArgument", `${kind}: ${field}: ${why}`, { data: { kind, field } });
}
