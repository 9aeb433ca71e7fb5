/** The manifests for agents on raw disks are accepted by a real API server, and differ from the plain ones by what disks need alone. */
import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import {
  applyObjects,
  deployedObjects,
  installedControlPlane,
  installedPrograms,
  kubectl,
} from "../testing/installed-plane.ts";

const missing = controlPlaneMissing(installedPrograms);
const deploy = join(import.meta.dir, "../../deploy");

interface Agent {
  hostPID?: boolean;
  containers: { securityContext: Record<string, unknown>; volumeMounts: { mountPath: string }[] }[];
}

describe.skipIf(missing !== undefined)(`manifests with devices${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await installedControlPlane();
    await applyObjects(
      plane,
      (await deployedObjects("manifests")).filter(({ kind }) => kind === "Namespace"),
    );
  }, 300_000);

  /** The agent's pod as the API server would keep it. */
  async function agentOf(folder: string): Promise<Agent> {
    const made = await kubectl(plane, ["kustomize", join(deploy, folder)]);
    const daemonSet = made.text.split(/^---$/m).find((object) => /^kind: DaemonSet$/m.test(object));
    const order = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "json", "-f", "-"];
    const { code, text } = await kubectl(plane, order, daemonSet ?? "");
    if (code !== 0) throw new Error(text);
    return (JSON.parse(text) as { spec: { template: { spec: Agent } } }).spec.template.spec;
  }

  test("only they give the node's /dev, its process ids and privileges to agents", async () => {
    const plain = await agentOf("manifests");
    expect(plain.hostPID).toBeUndefined();
    expect(plain.containers[0]?.securityContext).toMatchObject({ allowPrivilegeEscalation: false });
    expect(plain.containers[0]?.securityContext["privileged"]).toBeUndefined();
    const withDevices = await agentOf("manifests-with-devices");
    expect(withDevices.hostPID).toBe(true);
    expect(withDevices.containers[0]?.securityContext).toEqual({
      privileged: true,
      readOnlyRootFilesystem: true,
      runAsUser: 0,
    });
    const places = (agent: Agent) => agent.containers[0]?.volumeMounts.map(({ mountPath }) => mountPath).sort();
    expect(places(withDevices)).toEqual(["/dev", ...(places(plain) ?? [])].sort());
  });
});
