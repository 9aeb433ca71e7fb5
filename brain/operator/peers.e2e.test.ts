/** A whole brain and those it depends on: behind TLS and tokens, sick in every way a Prometheus is, and an API server that asks it about policies. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { webhookConfiguration } from "../installation/needs.ts";
import { testAuthority } from "../testing/certificates.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { Gate, type GateMode } from "../testing/gate.ts";
import { kubectl } from "../testing/installed-plane.ts";
import { freePorts, until } from "../testing/processes.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { type TieringCluster, tieringCluster } from "../testing/tiering-cluster.ts";
import { BrainProcess, operatorPlane, releaseLease, serviceAccountFolder } from "./testing/operator-cluster.ts";

const missing = controlPlaneMissing(["etcd", "kube-apiserver", "kubectl"]) ?? prometheusMissing();
if (missing) console.log(`skipped: a brain and what it depends on: ${missing}`);

const policyPath = "/apis/storage.billyronks.io/v1/storagepolicies";
const webhookPath = `/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/${webhookConfiguration}`;
const selector = (tier: string) => ({ matchLabels: { tier } });
const pools = { hotPoolSelector: selector("hot"), coldPoolSelector: selector("cold"), warmWatermarkIOPS: 0 };
const volumes = 3;

describe.skipIf(missing !== undefined)("a brain and what it depends on", () => {
  let plane: ControlPlane;
  let cluster: TieringCluster;
  let prometheus: Gate;
  let mayastor: Gate;
  let brain: BrainProcess;
  let webhookPort = 0;
  const file = (name: string) => join(plane.dir, name);

  beforeAll(async () => {
    plane = await operatorPlane();
    cluster = await tieringCluster(plane, { volumes, iops: () => 6_000 });
    const authority = await testAuthority("monitoring");
    const server = await authority.server(["127.0.0.1"]);
    const client = await authority.client("brain");
    const tls = { ...server, clientCa: authority.cert };
    prometheus = new Gate({ upstream: () => cluster.prometheus.url, tls });
    mayastor = new Gate({ upstream: () => cluster.sim.url, tls });
    prometheus.token = "first-s3cret-of-prometheus";
    mayastor.token = "s3cret-of-mayastor";
    await Promise.all([
      writeFile(file("peers-ca.crt"), authority.cert),
      writeFile(file("peers.crt"), client.cert),
      writeFile(file("peers.key"), client.key, { mode: 0o600 }),
      writeFile(file("prometheus-token"), prometheus.token, { mode: 0o600 }),
      writeFile(file("mayastor-token"), `${mayastor.token}\n`, { mode: 0o600 }),
    ]);
    [webhookPort = 0] = await freePorts(1);
    brain = await startBrain();
    await brain.ready();
  }, 180_000);
  afterAll(async () => {
    await brain?.[Symbol.asyncDispose]();
    await prometheus?.[Symbol.asyncDispose]();
    await mayastor?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
    await plane?.stop();
  });

  const startBrain = async (...more: string[]) => {
    const access = (peer: string) => [
      `--${peer}-ca=${file("peers-ca.crt")}`,
      `--${peer}-cert=${file("peers.crt")}`,
      `--${peer}-key=${file("peers.key")}`,
      `--${peer}-token-file=${file(`${peer}-token`)}`,
    ];
    // Of the first metric nobody has heard.
    const heatFlags = [
      "--prometheus-timeout=3s",
      "--prometheus-read-metrics=volume_reads_total,volume_num_read_ops",
      '--prometheus-selector=node=~"node-[0-9]+"',
    ];
    const webhook = [`--webhook-listen=127.0.0.1:${webhookPort}`, "--webhook-host=127.0.0.1"];
    const flags = [...access("prometheus"), ...access("mayastor"), ...heatFlags, ...webhook, ...more];
    return await BrainProcess.start({
      plane,
      credentials: await serviceAccountFolder(plane),
      prometheus,
      mayastor,
      flags,
    });
  };
  const policy = async () => (await plane.request("GET", `${policyPath}/tiers`)) as StoragePolicy;
  const apply = (spec: object, name = "tiers") =>
    kubectl(
      plane,
      ["apply", "-f", "-"],
      JSON.stringify({ apiVersion: "storage.billyronks.io/v1", kind: "StoragePolicy", metadata: { name }, spec }),
    );
  const heat = ({ status }: StoragePolicy) => status?.conditions?.find(({ type }) => type === "HeatAvailable");
  let minutes = 60;
  /** Heat is kept for half a minute for each window, so another window is asked for. Returns the status of that look. */
  const lookAnew = async (mode: GateMode, wanted: (status: StoragePolicy) => boolean): Promise<StoragePolicy> => {
    prometheus.mode = mode;
    minutes -= 1;
    const applied = await apply({ ...pools, samplingWindow: `${minutes}m` });
    expect(applied).toMatchObject({ code: 0 });
    let last: StoragePolicy | undefined;
    return await until(`Prometheus ${mode} is told of`, async () => {
      last = await policy();
      const { metadata, status } = last;
      return status?.observedGeneration === metadata.generation && wanted(last) ? last : undefined;
    }).catch((cause: unknown) => {
      throw new Error(`with Prometheus ${mode}: ${JSON.stringify(last?.status)}`, { cause });
    });
  };
  const allUnknown = ({ status }: StoragePolicy) => status?.unknownVolumes === volumes;
  const allKnown = ({ status }: StoragePolicy) => status?.watchedVolumes === volumes && status.unknownVolumes === 0;
  /** Volumes that move or wait for their turn. */
  const moves = async () => (await brain.cli("plan", "--moves")).stdout.match(/^pvc-/gm)?.length ?? 0;

  test("Prometheus and Mayastor behind mutual TLS and tokens are asked; a token that rotates is followed; none is in the log", async () => {
    await lookAnew("pass", allKnown);
    expect(await moves()).toBe(volumes);
    expect([prometheus.counts.refused, mayastor.counts.refused]).toEqual([0, 0]);
    prometheus.token = "second-s3cret-of-prometheus";
    await until("it is refused", async () => (await brain.readiness()).status === 503);
    expect((await brain.readiness()).checks["prometheus"]).toContain("give it a token with --prometheus-token-file");
    await writeFile(file("next-token"), prometheus.token);
    await rename(file("next-token"), file("prometheus-token"));
    await brain.ready();
    const log = await brain.log();
    expect(log).toContain("new certificates or tokens are in use");
    const account = (await readFile(join(await serviceAccountFolder(plane), "token"), "utf8")).split(".")[0] ?? "";
    for (const secret of ["s3cret", "PRIVATE KEY", account])
      expect([secret, log.includes(secret)]).toEqual([secret, false]);
  }, 180_000);

  test("a slow Prometheus is waited for, and what it says counts", async () => {
    prometheus.delayMs = 500;
    await lookAnew("pass", allKnown);
    prometheus.delayMs = 0;
    expect((await brain.readiness()).status).toBe(200);
  }, 180_000);

  for (const [mode, words] of [
    ["silent", "didn't answer"],
    ["html", 'text/html, beginning "<html>Please log in</html>"'],
    ["million", "too large"],
  ] as const) {
    test(`a Prometheus that is ${mode} makes heat unknown, moves nothing, costs bounded memory, and is trusted again when it is well`, async () => {
      const seen = await lookAnew(mode, (found) => heat(found)?.status === "False" && allUnknown(found));
      expect(heat(seen)?.message).toContain(words);
      expect(await moves()).toBe(0);
      const status = await readFile(`/proc/${brain.process.pid}/status`, "utf8");
      const peakKib = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]);
      expect(peakKib / 1024).toBeGreaterThan(30);
      expect(peakKib / 1024).toBeLessThan(320);
      prometheus.mode = "pass";
      // The breaker may be open for ten seconds.
      await brain.ready();
      await lookAnew("pass", (found) => allKnown(found) && heat(found)?.status === "True");
    }, 180_000);
  }

  for (const [mode, value] of [
    ["nan", "NaN"],
    ["inf", "Inf"],
  ] as const) {
    test(`${value} in place of a rate makes a volume Unknown, and never hot or cold`, async () => {
      const seen = await lookAnew(mode, allUnknown);
      expect(heat(seen)?.status).toBe("True");
      const { stdout } = await brain.cli("plan");
      expect(stdout.match(/heat unknown \(NotANumber\)/g)).toHaveLength(volumes);
      expect(await moves()).toBe(0);
      prometheus.mode = "pass";
    }, 180_000);
  }

  test("kubectl's user is told by the brain what the schema can't say; without a brain nothing is held up, and it is told afterwards", async () => {
    const found = (await plane.request("GET", webhookPath)) as { webhooks: { clientConfig: object }[] };
    const [hook] = found.webhooks as [{ clientConfig: { service?: object } }];
    const { service: _, ...config } = hook.clientConfig;
    const url = `https://127.0.0.1:${webhookPort}/validate`;
    await plane.request("PUT", webhookPath, {
      ...found,
      webhooks: [{ ...hook, clientConfig: { ...config, url } }],
    });
    const wrong = { ...pools, samplingWindow: "10s" };
    const refused = await until("the API server asks the brain", async () => {
      const answer = await apply(wrong, "wrong");
      if (answer.code !== 0) return answer;
      await kubectl(plane, ["delete", "sp", "wrong"]);
      return undefined;
    });
    expect(refused.text).toContain('denied the request: StoragePolicy wrong is invalid: samplingWindow: got "10s"');
    expect(refused.text).toContain("allowed is 1m to 30d");
    const warned = await apply({ ...pools, storageClassName: "other", ecPolicyRef: "nowhere" }, "warned");
    expect(warned.code).toBe(0);
    expect(warned.text).toContain("Warning: StoragePolicy: ecPolicyRef: there is no ErasureCodingPolicy nowhere (yet)");
    expect(await brain.metric('couchestor_admission_reviews_total{kind="StoragePolicy",allowed="false"}')).toBe(1);
    brain.process.signal("SIGKILL");
    await brain.process.exited;
    expect(await apply(wrong, "wrong")).toMatchObject({ code: 0 });
    // The rules of the definitions hold all the same.
    const impossible = await apply({ ...pools, lowWatermarkIOPS: 9_000 }, "impossible");
    expect([impossible.code, impossible.text]).toEqual([1, expect.stringContaining("lowWatermarkIOPS: got 9000")]);
    await brain[Symbol.asyncDispose]();
    // It is known to be dead, so nobody needs to wait for its lease to run out.
    await releaseLease(plane);
    brain = await startBrain("--dry-run");
    await until("the brain says so now", async () => {
      const { status } = (await plane.request("GET", `${policyPath}/wrong`)) as StoragePolicy;
      return status?.conditions?.some(({ message }) => message.includes('samplingWindow: got "10s"'));
    });
  }, 180_000);

  test("a brain that only looks shows in status and log what it would move, and changes nothing at Mayastor", async () => {
    let last: StoragePolicy | undefined;
    const { status } = await until("the moves are shown", async () => {
      last = await policy();
      return last.status?.plannedMoves?.length === volumes ? last : undefined;
    }).catch((cause: unknown) => {
      throw new Error(JSON.stringify(last?.status), { cause });
    });
    expect(status?.plannedMoves?.map(({ fromTier, toTier }) => `${fromTier} ${toTier}`)).toEqual(
      Array.from({ length: volumes }, () => "cold hot"),
    );
    const told = /dry run: would move a volume.* volume=pvc-\S+0(\d) policy=tiers from=cold to=hot /g;
    // The log follows the status, and has those whose turn it would be: two at once.
    const logged = async () => [...(await brain.log()).matchAll(told)].map(([, number]) => number);
    await until("the moves are logged", async () => (await logged()).length >= 2);
    expect(await logged()).toEqual(["1", "2"]);
    expect(cluster.sim.calls.filter((call) => !call.startsWith("GET "))).toEqual([]);
  }, 180_000);
});
