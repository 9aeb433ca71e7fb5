/** The objects that the resource store conformance suite works with, and how it expects an error. */
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import type { StorageNode, StorageNodeStatus } from "@couchestor/common/crd/storage-node.ts";
import { type AppError, type ErrorCode, isAppError } from "@couchestor/common/errors/app-error.ts";

export function nodeObject(name: string, labels: Record<string, string> = {}): StorageNode {
  return { apiVersion, kind: "StorageNode", metadata: { name }, spec: { labels } };
}

export const nodeStatus: StorageNodeStatus = {
  state: "Online",
  since: "2026-01-02T03:04:05.678Z",
  instanceUuid: zeroUuid,
  version: "0.1.0",
  clusterUrl: "http://127.0.0.1:1",
  adminUrl: "http://127.0.0.1:2",
  codec: "wasm",
  pools: [],
};

/** Rejects with an `AppError` of that code; returns it. */
export async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<AppError> {
  const error = await promise.then(
    (value) => value,
    (reason: unknown) => reason,
  );
  if (!isAppError(error, code)) throw new Error(`expected ${code}, got ${String(error)} ${JSON.stringify(error)}`);
  return error;
}
