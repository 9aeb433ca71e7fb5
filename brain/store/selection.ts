/** Lists by values of fields, the same in all stores. */
import type { ResourceKind } from "@couchestor/common/crd/object.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Fields } from "./ports.ts";

/** Whether an object has those values. Throws `InvalidArgument` for a field that the kind doesn't name as selectable. */
export function fieldsFilter(kind: ResourceKind, fields: Fields): (object: { spec?: unknown }) => boolean {
  const wanted = Object.entries(fields);
  for (const [field] of wanted) {
    if (kind.selectable?.includes(field)) continue;
    throw new AppError(
      "InvalidArgument",
      `${kind.kind}: spec.${field}: objects are listed by ${kind.selectable?.join(", ") ?? "no field"}`,
      { data: { kind: kind.kind, field: `spec.${field}` } },
    );
  }
  return ({ spec }) => {
    const values = (spec ?? {}) as Record<string, unknown>;
    return wanted.every(([field, value]) => values[field] === value);
  };
}
