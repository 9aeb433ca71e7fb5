/** The files of `deploy/crds`, made from the schemas. */
import { definitionOf } from "./definition.ts";
import { definitions } from "./definitions.ts";

export interface ManifestFile {
  name: string;
  text: string;
}

const heading = "# Made from common/crd by `bun common/crd/generate.ts`. Change it there.\n";

/** One file for each kind, named as its definition is, and one that lists them for `kubectl apply -k`. */
export function crdManifests(): ManifestFile[] {
  const files = definitions.map((definition) => {
    const crd = definitionOf(definition);
    return { name: `${crd.metadata.name}.yaml`, text: yaml(crd) };
  });
  const list = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    resources: files.map(({ name }) => name).sort(),
  };
  return [...files, { name: "kustomization.yaml", text: yaml(list) }];
}

function yaml(value: unknown): string {
  return `${heading}${Bun.YAML.stringify(value, null, 2)}\n`;
}
