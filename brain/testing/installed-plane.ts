/** A control plane with nodes on which everything in `deploy/` can be installed, shared by the test files of one process. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { applyAll } from "../kube/apply.ts";
import { Discovery } from "../kube/discovery.ts";
import type { KubeObject } from "../kube/objects.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { assetsDirectory } from "./control-plane-binaries.ts";
import { testClient } from "./kube-fixture.ts";

const deploy = join(import.meta.dir, "../../deploy");

/** What such a plane needs beside etcd and the API server. */
export const installedPrograms = [
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kwok",
  "kubectl",
] as const;

const sharedKey = Symbol.for("couchestor.test.installed-plane");

/** The plane, with all definitions installed. It ends with the process. */
export function installedControlPlane(): Promise<ControlPlane> {
  const holder = globalThis as { [sharedKey]?: Promise<ControlPlane> };
  holder[sharedKey] ??= start();
  return holder[sharedKey];
}

async function start(): Promise<ControlPlane> {
  const plane = await startControlPlane({ nodes: 3 });
  await applyObjects(plane, await deployedObjects("crds"));
  return plane;
}

/** The objects of a folder of `deploy/`, file by file. */
export async function deployedObjects(folder: "crds" | "manifests" | "examples"): Promise<KubeObject[]> {
  const names = (await readdir(join(deploy, folder))).filter((name) => name.endsWith(".yaml")).sort();
  const texts = await Promise.all(
    names.filter((name) => name !== "kustomization.yaml").map((name) => readFile(join(deploy, folder, name), "utf8")),
  );
  return texts.flatMap((text) => {
    const parsed = Bun.YAML.parse(text) as KubeObject | KubeObject[];
    return Array.isArray(parsed) ? parsed : [parsed];
  });
}

/** Applies objects as the administrator, and throws if the API server drops any of their fields. */
export async function applyObjects(plane: ControlPlane, objects: readonly KubeObject[]): Promise<KubeObject[]> {
  const client = testClient(plane);
  return await applyAll({ client, discovery: new Discovery(client), clock: systemClock }, objects);
}

/** Runs kubectl as the administrator and returns what it prints, errors included. */
export async function kubectl(
  plane: ControlPlane,
  args: readonly string[],
  input = "",
): Promise<{ code: number; text: string }> {
  const child = Bun.spawn([join(assetsDirectory(), "kubectl"), "--kubeconfig", plane.kubeconfig, ...args], {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { HOME: plane.dir },
  });
  const [out, error] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, text: out + error };
}
