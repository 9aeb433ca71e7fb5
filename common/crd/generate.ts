/** Writes `deploy/crds/*.yaml` and removes files of kinds that are no more. Run with `bun common/crd/generate.ts`. */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crdManifests } from "./manifest.ts";

const folder = join(import.meta.dir, "../../deploy/crds");

await mkdir(folder, { recursive: true });
const files = crdManifests();
for (const { name, text } of files) await writeFile(join(folder, name), text);
for (const name of await readdir(folder)) {
  if (name.endsWith(".yaml") && !files.some((file) => file.name === name)) await rm(join(folder, name));
}
