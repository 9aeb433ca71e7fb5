/** The files of `deploy/crds`, made from the schemas. */
import { definitionOf } from "./definition.ts";
import { definitions } from "./definitions.ts";

export interface ManifestFile {
  name: string;
  text: string;
}

const heading = "# Made from common/crd by `bun common/crd/generate.ts`. Change it there.\n";

/** One file for each kind, named as its definition is. */
export function crdManifests(): ManifestFile[] {
  return definitions.map((definition) => {
    const crd = definitionOf(definition);
    return { name: `${crd.metadata.name}.yaml`, text: `${heading}${Bun.YAML.stringify(crd, null, 2)}\n` };
  });
}
