import { beforeAll, describe, expect, test } from "bun:test";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { expectCode } from "../store/conformance-objects.ts";
import { testAuthority } from "../testing/certificates.ts";
import { type ControlPlane, sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import type { ClusterAccess } from "./access.ts";
import { KubeClient } from "./client.ts";
import { findCluster } from "./credentials.ts";
import { type KubeObject, kubeTypes } from "./objects.ts";
import { KubeTransport } from "./transport.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: credentials at a real API server: ${missing}`);

const clientOf = (access: ClusterAccess) =>
  new KubeClient(new KubeTransport({ access, clock: systemClock, prng: seededPrng(1), limits: { attemptsMax: 1 } }));

interface Review extends KubeObject {
  status?: { userInfo: { username: string; groups: string[] } };
}

/** Who the API server takes us for. */
async function whoAmI(access: ClusterAccess): Promise<string> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview", metadata: {} };
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const answer = await clientOf(access).transport.request<Review>({ method: "POST", path, body: review });
  return answer.status?.userInfo.username ?? "";
}

describe.skipIf(missing !== undefined)("at a real API server", () => {
  let plane: ControlPlane;
  const clock = systemClock;
  beforeAll(async () => {
    plane = await sharedControlPlane();
  }, 180_000);

  test("a client certificate of a private CA, inline and from files", async () => {
    const pair = await plane.clientCertificate("alice", ["storage"]);
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    const inline = { "client-certificate-data": base64(pair.cert), "client-key-data": base64(pair.key) };
    expect(await whoAmI(await findCluster({ clock, kubeconfig: await plane.kubeconfigOf(inline) }))).toBe("alice");
    await writeFile(join(plane.dir, "alice.crt"), pair.cert);
    await writeFile(join(plane.dir, "alice.key"), pair.key);
    const files = { "client-certificate": "alice.crt", "client-key": "alice.key" };
    expect(await whoAmI(await findCluster({ clock, kubeconfig: await plane.kubeconfigOf(files) }))).toBe("alice");
  });

  test("another CA than the server's is refused before anything is sent", async () => {
    const other = await testAuthority("another CA");
    const kubeconfig = await plane.kubeconfigOf({ token: plane.token() });
    const config = JSON.parse(await Bun.file(kubeconfig).text());
    config.clusters[0].cluster = {
      server: plane.server,
      "certificate-authority-data": Buffer.from(other.cert).toString("base64"),
    };
    await writeFile(kubeconfig, JSON.stringify(config));
    const error = await expectCode(whoAmI(await findCluster({ clock, kubeconfig })), "Unavailable");
    expect(error.message).toMatch(/certificate/i);
  });

  test("an exec plugin, a token file and a context other than the current one", async () => {
    const plugin = join(plane.dir, "plugin.sh");
    const credential = {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { token: plane.token("brain") },
    };
    await writeFile(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`, { mode: 0o755 });
    const exec = { exec: { apiVersion: "client.authentication.k8s.io/v1", command: plugin, interactiveMode: "Never" } };
    expect(await whoAmI(await findCluster({ clock, kubeconfig: await plane.kubeconfigOf(exec) }))).toBe("brain");

    await writeFile(join(plane.dir, "token-of-nobody"), `${plane.token("nobody")}\n`);
    const kubeconfig = await plane.kubeconfigOf({ tokenFile: "token-of-nobody" });
    expect(await whoAmI(await findCluster({ clock, kubeconfig }))).toBe("nobody");
    const config = JSON.parse(await Bun.file(kubeconfig).text());
    config.users.push({ name: "second", user: { token: plane.token("brain") } });
    config.contexts.push({ name: "other", context: { cluster: "test", user: "second", namespace: "storage" } });
    await writeFile(kubeconfig, JSON.stringify(config));
    const other = await findCluster({ clock, kubeconfig, context: "other" });
    expect([await whoAmI(other), other.namespace]).toEqual(["brain", "storage"]);
  });

  test("in a pod: the service account's folder, with a token that rotates under a running brain", async () => {
    await using dir = await tempDir("serviceaccount");
    const mount = join(dir.path, "mount");
    await mkdir(mount);
    const write = async (token: string) => {
      // As the kubelet does it: a new file under the old name.
      await writeFile(join(mount, "token.new"), token);
      await rename(join(mount, "token.new"), join(mount, "token"));
    };
    await write(plane.token("brain"));
    await writeFile(join(mount, "ca.crt"), plane.authority.cert);
    await writeFile(join(mount, "namespace"), "couchestor\n");
    const url = new URL(plane.server);
    const env = { KUBERNETES_SERVICE_HOST: url.hostname, KUBERNETES_SERVICE_PORT: url.port };
    const time = new FakeClock();
    const access = await findCluster({ clock: time, env, serviceAccountDir: mount });
    expect([await whoAmI(access), access.namespace]).toEqual(["brain", "couchestor"]);
    // Seconds later the new token is used.
    await write(plane.token("nobody"));
    expect(await whoAmI(access)).toBe("brain");
    await time.advance(11_000);
    expect(await whoAmI(access)).toBe("nobody");
    // One that is refused is read again at once.
    await write("revoked");
    await time.advance(11_000);
    await expectCode(whoAmI(access), "FailedPrecondition");
    await write(plane.token("brain"));
    expect(await whoAmI(access)).toBe("brain");
    expect((await clientOf(access).get(kubeTypes.namespace, { name: "none" }).catch(String)) ?? "").toContain(
      "refuses by its rules",
    );
  });

  test("a kubeconfig that is renewed under a running brain is read again", async () => {
    const kubeconfig = await plane.kubeconfigOf({ token: plane.token("nobody") });
    const time = new FakeClock();
    const access = await findCluster({ clock: time, kubeconfig });
    expect(await whoAmI(access)).toBe("nobody");
    const renewed = (await Bun.file(kubeconfig).text()).replace(plane.token("nobody"), plane.token("brain"));
    await writeFile(kubeconfig, renewed);
    await time.advance(11_000);
    expect(await whoAmI(access)).toBe("brain");
    await writeFile(kubeconfig, renewed.replace(plane.server, "https://127.0.0.1:1"));
    await time.advance(11_000);
    await expectCode(whoAmI(access), "FailedPrecondition");
  });
});

describe("what can't be used says why", () => {
  const clock = new FakeClock();
  const write = async (dir: string, config: unknown): Promise<string> => {
    const path = join(dir, "config");
    await writeFile(path, typeof config === "string" ? config : JSON.stringify(config));
    return path;
  };
  const config = (server: string) => ({
    clusters: [{ name: "c", cluster: { server } }],
    users: [{ name: "u", user: {} }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });

  test("no cluster at all", async () => {
    await using dir = await tempDir("home");
    const error = await expectCode(findCluster({ clock, env: { HOME: dir.path } }), "FailedPrecondition");
    expect(error.message).toContain("KUBECONFIG is not set");
  });

  test("a file that isn't there, is no kubeconfig, or lacks what its context names", async () => {
    await using dir = await tempDir("kubeconfig");
    const refused = async (text: unknown, why: string, context?: string) => {
      const kubeconfig = await write(dir.path, text);
      const error = await expectCode(findCluster({ clock, kubeconfig, context }), "InvalidArgument");
      expect(error.message).toContain(why);
    };
    await expectCode(findCluster({ clock, kubeconfig: join(dir.path, "none") }), "InvalidArgument");
    await refused("{ not yaml", "can't be read");
    await refused({ ...config("https://a"), "current-context": "y" }, 'context "y"');
    await refused(config("https://a"), 'context "z"', "z");
    await refused({ ...config("https://a"), users: [] }, "names a user that is not in it");
    await refused(config("ftp://a"), "allowed is an https URL");
    await refused(config("http://10.0.0.1"), "in the clear");
  });

  test("a service account without a token", async () => {
    await using dir = await tempDir("serviceaccount");
    const env = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: "1" };
    const error = await expectCode(findCluster({ clock, env, serviceAccountDir: dir.path }), "FailedPrecondition");
    expect(error.message).toContain("token");
  });
});
