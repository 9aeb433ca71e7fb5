/** Lists by values of fields, as the API server takes them. */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Fields } from "../store/ports.ts";
import type { Selection } from "./client.ts";

/** Of fields of `spec`. In values, what a selector is made of is written with a backslash. */
export function fieldSelectorOf(fields: Fields): Selection {
  const terms = Object.entries(fields).map(([name, value]) => `spec.${name}=${value.replace(/[\\,=]/g, "\\$&")}`);
  return terms.length === 0 ? {} : { fieldSelector: terms.join(",") };
}

/** Whether the definition that is installed, or an API server before Kubernetes 1.31, has no `selectableFields`. */
export function isNotSelectable(error: unknown): boolean {
  return (
    isAppError(error, "InvalidArgument") &&
    error.data["status"] === 400 &&
    error.message.includes("field label not supported")
  );
}
