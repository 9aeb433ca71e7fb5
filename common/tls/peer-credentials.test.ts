import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { createClient } from "../http/client.ts";
import { policies } from "../resilience/policies.ts";
import { type TempDir, tempDir } from "../testing/temp-dir.ts";
import { createTlsFiles } from "./create-files.ts";
import { PeerCredentials } from "./peer-credentials.ts";

let dir: TempDir;
let server: ReturnType<typeof Bun.serve> | undefined;
let seen: (string | null)[];
const file = (name: string) => join(dir.path, name);
const text = (name: string) => Bun.file(file(name)).text();

beforeEach(async () => {
  dir = await tempDir("peer-credentials");
  await createTlsFiles({ dir: dir.path, hosts: [] });
  seen = [];
});
afterEach(async () => {
  await server?.stop(true);
  server = undefined;
  await dir[Symbol.asyncDispose]();
});

/** A server over TLS that wants a client certificate and tells what it was sent. */
async function serve(): Promise<string> {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: server?.port ?? 0,
    tls: {
      ...{ cert: await text("agent.crt"), key: await text("agent.key"), ca: [await text("brain-ca.crt")] },
      ...{ requestCert: true, rejectUnauthorized: true },
    },
    fetch: (request) => {
      seen.push(request.headers.get("authorization"));
      return Response.json({ ok: true });
    },
  });
  return `https://127.0.0.1:${server.port}`;
}

/** Asks as the clients of the brain do. */
async function ask(url: string, credentials: PeerCredentials): Promise<string> {
  const policy = { ...policies.query, attemptsMax: 1, timeoutMs: 20_000 };
  const client = createClient({ peer: "Prometheus", baseUrl: url, tls: () => credentials.tls(), policy });
  return await client.json("GET", "/", z.object({ ok: z.boolean() }), { headers: credentials.headers() }).then(
    () => "answered",
    (error: { code: string }) => error.code,
  );
}

const all = () => ({
  tokenFile: file("token"),
  caFile: file("agent-ca.crt"),
  certFile: file("brain.crt"),
  keyFile: file("brain.key"),
});

test("a server of a private authority that wants a certificate and a token gets both, and without either nobody talks to it", async () => {
  await writeFile(file("token"), "first-token\n");
  const url = await serve();
  const whole = new PeerCredentials("Prometheus", all());
  expect(await whole.look()).toBe(true);
  expect(await ask(url, whole)).toBe("answered");
  expect(seen).toEqual(["Bearer first-token"]);
  const { caFile: _, ...untrusting } = all();
  const { certFile: __, keyFile: ___, ...nameless } = all();
  for (const files of [untrusting, nameless, {}]) {
    const less = new PeerCredentials("Prometheus", files);
    await less.look();
    expect(await ask(url, less)).toBe("Unavailable");
  }
  expect(seen).toHaveLength(1);
});

test("tokens and certificates that rotate are followed, connections that are kept open notwithstanding", async () => {
  await writeFile(file("token"), "first-token");
  const credentials = new PeerCredentials("Prometheus", all());
  await credentials.look();
  const before = await serve();
  expect(await ask(before, credentials)).toBe("answered");
  expect(await credentials.look()).toBe(false);
  await writeFile(file("next"), "second-token");
  await rename(file("next"), file("token"));
  expect(await credentials.look()).toBe(true);
  expect(await ask(before, credentials)).toBe("answered");
  expect(seen).toEqual(["Bearer first-token", "Bearer second-token"]);
  await using other = await tempDir("peer-credentials-new");
  await createTlsFiles({ dir: other.path, hosts: [] });
  for (const name of ["agent-ca.crt", "agent.crt", "agent.key", "brain-ca.crt", "brain.crt", "brain.key"])
    await copyFile(join(other.path, name), file(name));
  await server?.stop(true);
  const after = await serve();
  expect(await ask(after, credentials)).toBe("Unavailable");
  expect(await credentials.look()).toBe(true);
  expect(await ask(after, credentials)).toBe("answered");
});

test("files that can't be used are named, what is in them is not, and what was read before stays in use", async () => {
  await writeFile(file("token"), "first-token");
  const credentials = new PeerCredentials("Prometheus", all());
  await credentials.look();
  const wrong = async (change: () => Promise<unknown>): Promise<string> => {
    await change();
    const error = await credentials.look().catch((e: Error) => e);
    expect(error).toBeInstanceOf(Error);
    expect(credentials.headers()).toEqual({ authorization: "Bearer first-token" });
    expect(credentials.tls()?.ca).toHaveLength(1);
    return (error as Error).message;
  };
  const two = await wrong(() => writeFile(file("token"), "top secret"));
  expect(two).toContain(`the token for Prometheus in ${file("token")} has characters that no token has`);
  expect(two).not.toContain("secret");
  expect(await wrong(() => writeFile(file("token"), "\n"))).toContain("is empty");
  expect(await wrong(() => writeFile(file("token"), "a".repeat(70_000)))).toContain("is no file of that size");
  expect(await wrong(() => rm(file("token")))).toContain("can't be read (ENOENT)");
  await writeFile(file("token"), "first-token");
  const noPem = await wrong(() => writeFile(file("brain.key"), "private words"));
  expect(noPem).toContain(`the private key for Prometheus ${file("brain.key")} holds no PEM block "PRIVATE KEY"`);
  expect(noPem).not.toContain("private words");
});
