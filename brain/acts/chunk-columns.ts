/** Chunks to delete, kept as columns (one shard of a range of stripes in one pool) and spelled out in full names only when sent [X1]. Pure. */
import type { ActId } from "@couchestor/common/api/acts.ts";
import { type ChunkName, chunksPerRequestMax, type DeleteRequest } from "@couchestor/common/api/chunks.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import { currentPlacement, type EcStripeSpec } from "@couchestor/common/crd/ec-stripe.ts";

export interface ChunkColumn {
  poolUuid: string;
  volumeUuid: string;
  shardIndex: number;
  generation: number;
  encodeEpoch: number;
  encodeAct: number;
  putEpoch: number;
  putAct: number;
  firstStripe: number;
  stripeCount: number;
  /** Stripes of the range that are not meant. */
  except?: ReadonlySet<number>;
  reason: DeleteRequest["reason"];
  orderedBy: { epoch: number; actNo: number };
}

/** The column's full names in requests of at most 1,024. */
export function* deleteRequests(column: ChunkColumn): Generator<DeleteRequest> {
  let names: ChunkName[] = [];
  const { orderedBy, reason } = column;
  for (let stripe = column.firstStripe; stripe < column.firstStripe + column.stripeCount; stripe++) {
    if (column.except?.has(stripe)) continue;
    names.push({
      volumeUuid: column.volumeUuid,
      stripe,
      shardIndex: column.shardIndex,
      generation: column.generation,
      encodeEpoch: column.encodeEpoch,
      encodeAct: column.encodeAct,
      putEpoch: column.putEpoch,
      putAct: column.putAct,
    });
    if (names.length === chunksPerRequestMax) {
      yield { orderedBy, reason, names };
      names = [];
    }
  }
  if (names.length > 0) yield { orderedBy, reason, names };
}

export interface ColumnOrder {
  reason: DeleteRequest["reason"];
  orderedBy: { epoch: number; actNo: number };
}

/** Every chunk that the run's committed version names: its columns without the stripes that exceptions replace, and the exceptions. */
export function committedColumns(spec: EcStripeSpec, order: ColumnOrder): ChunkColumn[] {
  if (spec.generation === 0) return [];
  const shared = {
    volumeUuid: spec.volumeUuid,
    generation: spec.generation,
    encodeEpoch: spec.encodeEpoch,
    encodeAct: spec.encodeAct,
    ...order,
  };
  const columns: ChunkColumn[] = [];
  for (const l of currentPlacement(spec)?.shardLocations ?? []) {
    const except = new Set(spec.exceptions.filter((e) => e.shardIndex === l.shardIndex).map((e) => e.stripe));
    columns.push({
      ...shared,
      ...putOf(l),
      shardIndex: l.shardIndex,
      firstStripe: spec.firstStripe,
      stripeCount: spec.stripeCount,
      except,
    });
  }
  for (const e of spec.exceptions) {
    if (e.present)
      columns.push({ ...shared, ...putOf(e), shardIndex: e.shardIndex, firstStripe: e.stripe, stripeCount: 1 });
  }
  return columns;
}

/** The chunks that `before` names and `after` does not. */
export function supersededColumns(before: EcStripeSpec, after: EcStripeSpec, order: ColumnOrder): ChunkColumn[] {
  const sameEncoding =
    before.generation === after.generation &&
    before.encodeEpoch === after.encodeEpoch &&
    before.encodeAct === after.encodeAct;
  const old = committedColumns(before, order);
  if (!sameEncoding) return old;
  const named = new Set<string>();
  const locations = new Map((currentPlacement(after)?.shardLocations ?? []).map((l) => [l.shardIndex, copyKey(l)]));
  for (const e of after.exceptions) if (e.present) named.add(`${e.stripe}/${e.shardIndex}/${copyKey(e)}`);
  const replaced = new Map<number, Set<number>>();
  for (const e of after.exceptions) {
    const stripes = replaced.get(e.shardIndex) ?? new Set();
    replaced.set(e.shardIndex, stripes.add(e.stripe));
  }
  const result: ChunkColumn[] = [];
  for (const column of old) {
    const stillColumn = locations.get(column.shardIndex) === copyKey(column);
    const except = new Set(column.except);
    let left = 0;
    for (let stripe = column.firstStripe; stripe < column.firstStripe + column.stripeCount; stripe++) {
      if (except.has(stripe)) continue;
      const byColumn = stillColumn && !replaced.get(column.shardIndex)?.has(stripe);
      if (byColumn || named.has(`${stripe}/${column.shardIndex}/${copyKey(column)}`)) except.add(stripe);
      else left++;
    }
    if (left > 0) result.push({ ...column, except });
  }
  return result;
}

/** The chunks an act may have put: whole columns, or single stripes of them. */
export function actColumns(
  act: ActId,
  version: { generation: number; encodeEpoch: number; encodeAct: number; firstStripe: number; stripeCount: number },
  targets: readonly ShardLocation[],
  only?: readonly { stripe: number; shardIndex: number }[],
): ChunkColumn[] {
  const { generation, encodeEpoch, encodeAct, firstStripe, stripeCount } = version;
  const shared = {
    volumeUuid: act.volumeUuid,
    generation,
    encodeEpoch,
    encodeAct,
    reason: "act-dropped" as const,
    orderedBy: { epoch: act.epoch, actNo: act.actNo },
  };
  if (!only)
    return targets.map((t) => ({ ...shared, ...putOf(t), shardIndex: t.shardIndex, firstStripe, stripeCount }));
  return only.flatMap(({ stripe, shardIndex }) => {
    const target = targets.find((t) => t.shardIndex === shardIndex);
    return target ? [{ ...shared, ...putOf(target), shardIndex, firstStripe: stripe, stripeCount: 1 }] : [];
  });
}

type Put = { poolUuid: string; putEpoch: number; putAct: number };
const putOf = ({ poolUuid, putEpoch, putAct }: Put): Put => ({ poolUuid, putEpoch, putAct });
const copyKey = ({ poolUuid, putEpoch, putAct }: Put): string => `${poolUuid}/${putEpoch}/${putAct}`;
