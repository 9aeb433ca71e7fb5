import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { PeerCredentials, type PeerFiles } from "@couchestor/common/tls/peer-credentials.ts";
import { testAuthority } from "../testing/certificates.ts";
import { type Prometheus, prometheusMissing, startPrometheus } from "../testing/prometheus.ts";
import { prometheusPolicy } from "./prometheus-api.ts";
import { PrometheusHeat } from "./prometheus-heat.ts";

const missing = prometheusMissing();
if (missing) console.log(`skipped: a Prometheus behind TLS: ${missing}`);

describe.skipIf(missing !== undefined)("a Prometheus that serves by mutual TLS itself", () => {
  let prometheus: Prometheus;
  let files: PeerFiles;
  beforeAll(async () => {
    const authority = await testAuthority();
    const [server, client] = [await authority.server(["127.0.0.1"]), await authority.client("brain")];
    prometheus = await startPrometheus({ tls: { server, authority: authority.cert, client } });
    const write = async (name: string, text: string) => {
      const path = join(prometheus.dir, name);
      await writeFile(path, text, { mode: 0o600 });
      return path;
    };
    files = {
      caFile: await write("brain-ca.crt", authority.cert),
      certFile: await write("brain.crt", client.cert),
      keyFile: await write("brain.key", client.key),
    };
  }, 180_000);
  afterAll(() => prometheus?.stop());

  const ping = async (given: PeerFiles): Promise<string> => {
    const credentials = new PeerCredentials("Prometheus", given);
    await credentials.look();
    const policy = { ...prometheusPolicy, attemptsMax: 1 };
    const heat = new PrometheusHeat(systemClock, { url: prometheus.url, tls: () => credentials.tls(), policy });
    return await heat.ping().then(
      () => "answered",
      (error: Error) => error.message,
    );
  };

  test("answers who trusts its authority and shows a certificate, and nobody else", async () => {
    expect(await ping(files)).toBe("answered");
    const { caFile, ...untrusting } = files;
    expect(await ping(untrusting)).toContain("can't be reached");
    expect(await ping({ caFile })).toContain("can't be reached");
  });
});
