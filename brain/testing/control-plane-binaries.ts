/** Where the programs of the tests' control plane are: KUBEBUILDER_ASSETS, or the cache that `make envtest` fills. */
import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const kubernetesVersion = "v1.36.3";

/** The folder of the programs; it need not exist. */
export function assetsDirectory(env: Record<string, string | undefined> = process.env): string {
  if (env["KUBEBUILDER_ASSETS"]) return env["KUBEBUILDER_ASSETS"];
  const cache = env["XDG_CACHE_HOME"] || join(env["HOME"] || homedir(), ".cache");
  return join(cache, "couchestor", "envtest", kubernetesVersion);
}

/**
 * Why tests with a real control plane can't run here, in one plain line; undefined if they can. With COUCHESTOR_E2E set they must: then what
 * is missing is thrown.
 */
export function controlPlaneMissing(programs: readonly string[] = ["etcd", "kube-apiserver"]): string | undefined {
  const missing = missingPrograms(programs);
  if (missing !== undefined && process.env["COUCHESTOR_E2E"]) throw new Error(missing);
  return missing;
}

/** The same, without a word about whether it matters. */
export function missingPrograms(programs: readonly string[]): string | undefined {
  if (Bun.which("setpriv") === null) return "no setpriv (util-linux), which ends programs together with the tests";
  const folder = assetsDirectory();
  const missing = programs.filter((program) => !isExecutable(join(folder, program)));
  if (missing.length === 0) return undefined;
  return `no ${missing.join(", ")} in ${folder}: \`make envtest\` builds a control plane`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
