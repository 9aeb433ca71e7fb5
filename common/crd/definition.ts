/** A kind's CustomResourceDefinition, as plain data. */
import { apiGroup, apiVersion, type ResourceKind } from "./object.ts";
import { type FieldTexts, type StructuralSchema, structuralSchema } from "./structural.ts";

export interface PrinterColumn {
  name: string;
  type: "string" | "integer" | "number" | "boolean" | "date";
  jsonPath: string;
  /** 0 is always shown; 1 with `-o wide`. */
  priority?: number;
}

export interface KindDefinition {
  kind: ResourceKind;
  /** What the kind is, for `kubectl explain`. */
  text: string;
  specText: string;
  statusText: string;
  columns: readonly PrinterColumn[];
  /** Descriptions of fields that other schemas bring without one. */
  texts?: FieldTexts;
}

export interface CustomResourceDefinition {
  apiVersion: "apiextensions.k8s.io/v1";
  kind: "CustomResourceDefinition";
  metadata: { name: string; labels: Record<string, string> };
  spec: {
    group: string;
    scope: "Cluster";
    names: {
      kind: string;
      listKind: string;
      plural: string;
      singular: string;
      shortNames?: string[];
      categories: string[];
    };
    versions: {
      name: string;
      served: boolean;
      storage: boolean;
      subresources: { status: Record<string, never> };
      additionalPrinterColumns: PrinterColumn[];
      selectableFields?: { jsonPath: string }[];
      schema: { openAPIV3Schema: StructuralSchema };
    }[];
  };
}

const age: PrinterColumn = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };

/** The definition of a kind. Throws when its schemas can't be expressed. */
export function definitionOf({
  kind,
  text,
  specText,
  statusText,
  columns,
  texts,
}: KindDefinition): CustomResourceDefinition {
  const spec = { ...structuralSchema(kind.spec, "spec", { ...texts, spec: specText }) };
  const status = structuralSchema(kind.status, "status", { ...texts, status: statusText });
  const schema: StructuralSchema = {
    description: text,
    type: "object",
    required: ["spec"],
    properties: { spec, status },
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${kind.plural}.${apiGroup}`,
      labels: { "app.kubernetes.io/name": "couchestor", "app.kubernetes.io/component": "crds" },
    },
    spec: {
      group: apiGroup,
      scope: "Cluster",
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        ...(kind.shortNames.length === 0 ? {} : { shortNames: [...kind.shortNames] }),
        categories: ["couchestor"],
      },
      versions: [
        {
          name: apiVersion.slice(apiGroup.length + 1),
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [...columns, age],
          ...(kind.selectable === undefined
            ? {}
            : { selectableFields: kind.selectable.map((field) => ({ jsonPath: `.spec.${field}` })) }),
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  };
}
