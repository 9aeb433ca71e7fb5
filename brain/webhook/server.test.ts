import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { storagePolicySpecSchema } from "@couchestor/common/crd/storage-policy.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { testAuthority } from "../testing/certificates.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { installedControlPlane, installedPrograms, kubectl } from "../testing/installed-plane.ts";
import { testClient } from "../testing/kube-fixture.ts";
import { until } from "../testing/processes.ts";
import type { AdmissionFacts } from "./admit.ts";
import { makeWebhookCertificate, readBundle } from "./certificate.ts";
import { bundledMax, bundleWith } from "./registration.ts";
import { type CertificateSource, WebhookServer } from "./server.ts";

const facts: AdmissionFacts = {
  erasureCodingPolicyExists: () => undefined,
  storagePolicies: () => [{ name: "rival", spec: storagePolicySpecSchema.parse({}) }],
  volumesOf: () => 0,
};
const path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const configuration = "couchestor-test";

describe("bundle", () => {
  const clock = new FakeClock(systemClock.wallMs());
  const make = (validMs = 60_000) => makeWebhookCertificate({ hosts: ["localhost"], validMs, clock, prng: systemPrng });

  test("each brain's authority is in it once; what has expired or can't be read goes; the newest stay", async () => {
    const [a, b] = [await make(), await make(1_000)];
    const one = bundleWith("", a.ca, clock.wallMs());
    expect(bundleWith(one, a.ca, clock.wallMs())).toBe(one);
    const two = bundleWith(one, b.ca, clock.wallMs());
    expect(readBundle(two).map(({ pem }) => pem)).toEqual([b.ca, a.ca]);
    expect(bundleWith(two, a.ca, clock.wallMs())).toBe(two);
    await clock.advance(2_000);
    expect(readBundle(bundleWith(two, a.ca, clock.wallMs())).map(({ pem }) => pem)).toEqual([a.ca]);
    const damaged = `${a.ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
    expect(bundleWith(damaged, a.ca, clock.wallMs())).toBe(one);
    let bundle = one;
    for (let i = 0; i < bundledMax + 4; i++) {
      await clock.advance(10);
      bundle = bundleWith(bundle, (await make()).ca, clock.wallMs());
    }
    expect(readBundle(bundle)).toHaveLength(bundledMax);
    const back = bundleWith(bundle, a.ca, clock.wallMs());
    expect(readBundle(back)).toHaveLength(bundledMax);
    expect(back).toContain(a.ca.trim());
  });
});

const missing = controlPlaneMissing(installedPrograms);
if (missing) console.log(`skipped: the webhook called by a real API server: ${missing}`);

describe.skipIf(missing !== undefined)("called by a real API server", () => {
  let plane: ControlPlane;
  const running: WebhookServer[] = [];
  beforeAll(async () => {
    plane = await installedControlPlane();
  }, 180_000);
  afterEach(async () => {
    await plane.request("DELETE", `${path}/${configuration}`);
    await Promise.all(running.splice(0).map((server) => server.stop()));
    await kubectl(plane, ["delete", "sp", "asked", "--ignore-not-found"]);
  });

  const start = async (
    certificates?: CertificateSource,
    options: { validMs?: number } = {},
  ): Promise<WebhookServer> => {
    const own = { from: "self" as const, client: testClient(plane), configuration, hosts: ["127.0.0.1"], ...options };
    const server = new WebhookServer(
      { clock: systemClock, prng: systemPrng, logger: silentLogger(), facts },
      { address: { hostname: "127.0.0.1", port: 0 }, certificates: certificates ?? own, everyMs: 100, settleMs: 1_500 },
    );
    await server.start();
    running.push(server);
    return server;
  };
  const install = (server: WebhookServer, failurePolicy = "Fail", caBundle?: string) =>
    plane.request("POST", path, {
      metadata: { name: configuration },
      webhooks: [
        {
          name: "policies.storage.billyronks.io",
          clientConfig: { url: `${server.url}/validate`, ...(caBundle === undefined ? {} : { caBundle }) },
          rules: [
            {
              apiGroups: ["storage.billyronks.io"],
              apiVersions: ["v1"],
              operations: ["CREATE", "UPDATE"],
              resources: ["storagepolicies"],
            },
          ],
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          failurePolicy,
          timeoutSeconds: 5,
        },
      ],
    });
  const bundle = async (): Promise<string> => {
    const found = (await plane.request("GET", `${path}/${configuration}`)) as {
      webhooks: { clientConfig: { caBundle?: string } }[];
    };
    return Buffer.from(found.webhooks[0]?.clientConfig.caBundle ?? "", "base64").toString();
  };
  const apply = (samplingWindow: string) => {
    const spec = { samplingWindow, nvmePoolSelector: {} };
    const policy = { apiVersion: "storage.billyronks.io/v1", kind: "StoragePolicy", metadata: { name: "asked" }, spec };
    return kubectl(plane, ["apply", "-f", "-"], JSON.stringify(policy));
  };
  const dryRun = (spec: object) =>
    plane.request("POST", "/apis/storage.billyronks.io/v1/storagepolicies?dryRun=All", {
      apiVersion: "storage.billyronks.io/v1",
      kind: "StoragePolicy",
      metadata: { name: "dry" },
      spec,
    });
  const admits = () => dryRun({}).then(() => true);
  /** The API server knows of us, asks us and trusts us: before that it admits what we refuse, or finds nobody it trusts. */
  const asked = () =>
    until("the API server asks us", async () =>
      dryRun({ samplingWindow: "10s" }).then(
        () => false,
        (error: Error) => error.message.includes("allowed is 1m to 30d"),
      ),
    );

  test("a mistake is refused in words, and warnings reach kubectl's user", async () => {
    await install(await start());
    await asked();
    const refused = await apply("10s");
    expect([refused.code, refused.text]).toEqual([
      1,
      expect.stringContaining('samplingWindow: got "10s", allowed is 1m to 30d'),
    ]);
    const accepted = await apply("30m");
    expect(accepted.code).toBe(0);
    expect(accepted.text).toContain("Warning: StoragePolicy: nvmePoolSelector is deprecated: use hotPoolSelector");
    expect(accepted.text).toContain("StoragePolicy rival claims volumes of StorageClass mayastor too");
  }, 180_000);

  test("its certificate is renewed while requests go on, and two brains keep one bundle", async () => {
    const server = await start(undefined, { validMs: 10_500 });
    await install(server);
    await asked();
    const before = readBundle(await bundle()).map(({ pem }) => pem);
    await start(undefined, { validMs: 600_000 });
    const serving = async () => readBundle(await bundle()).filter(({ pem }) => !before.includes(pem)).length;
    await until("the second brain's authority is in it", async () => (await serving()) >= 1);
    let requests = 0;
    const failures: unknown[] = [];
    const ask = async () => {
      requests += 1;
      await admits().catch((error: unknown) => failures.push(error));
    };
    await until(
      "the first has renewed",
      async () => {
        await ask();
        return readBundle(await bundle()).every(({ pem }) => !before.includes(pem)) && (await serving()) >= 2;
      },
      { everyMs: 30 },
    );
    for (let i = 0; i < 20; i++) await ask();
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(30);
  }, 180_000);

  test("certificates in files, as cert-manager's, are taken up when they change", async () => {
    const write = async () => {
      const authority = await testAuthority("files");
      const pair = await authority.server(["127.0.0.1"]);
      await Promise.all([
        writeFile(join(plane.dir, "hook.crt"), pair.cert),
        writeFile(join(plane.dir, "hook.key"), pair.key),
        writeFile(join(plane.dir, "hook-ca.crt"), authority.cert),
      ]);
      return authority.cert;
    };
    const ca = await write();
    const files = {
      certFile: join(plane.dir, "hook.crt"),
      keyFile: join(plane.dir, "hook.key"),
      caFiles: [join(plane.dir, "hook-ca.crt")],
    };
    const server = await start({ from: "files", files });
    const ask = (trusted: string) =>
      fetch(`${server.url}/validate`, { method: "POST", body: "{}", keepalive: false, tls: { ca: trusted } });
    expect((await ask(ca)).status).toBe(400);
    await install(server, "Fail", Buffer.from(ca).toString("base64"));
    await asked();
    const next = await write();
    await until("the new certificate is served", async () => (await ask(next)).status === 400);
    expect(await bundle()).toBe(ca);
  }, 180_000);

  test("with failurePolicy Ignore nothing is held up while no brain answers", async () => {
    const server = await start();
    await install(server, "Ignore");
    await asked();
    await server.stop();
    expect((await apply("10s")).code).toBe(0);
  }, 180_000);
});
