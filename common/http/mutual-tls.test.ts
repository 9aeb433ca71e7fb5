import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import { systemClock } from "../runtime/clock.ts";
import { type TempDir, tempDir } from "../testing/temp-dir.ts";
import { createTlsFiles } from "../tls/create-files.ts";
import { loadTlsMaterial, type TlsMaterial, tlsFilesStamp } from "../tls/material.ts";
import { createClient } from "./client.ts";
import { type Listener, parseListenAddress, startListener } from "./listener.ts";

let dir: TempDir;
let listener: Listener;
const okSchema = z.strictObject({ ok: z.literal(true) });
const single = { timeoutMs: 5_000, attemptsMax: 1, pauseMs: 0, pauseMsMax: 0, failuresToOpen: 100, openMs: 1 };

function material(name: string, cas: string[]): Promise<TlsMaterial> {
  const at = (file: string) => join(dir.path, file);
  return loadTlsMaterial({ certFile: at(`${name}.crt`), keyFile: at(`${name}.key`), caFiles: cas.map(at) });
}

async function call(name: string, cas = ["agent-ca.crt"]): Promise<unknown> {
  const client = createClient({
    peer: "agent n1",
    baseUrl: listener.url,
    tls: await material(name, cas),
    policy: single,
  });
  return await client.json("GET", "/", okSchema);
}

beforeAll(async () => {
  dir = await tempDir("tls");
  await createTlsFiles({ dir: dir.path, hosts: ["n1.example", "10.0.0.1"] });
  listener = startListener({
    name: "cluster",
    address: { hostname: "127.0.0.1", port: 0 },
    tls: await material("agent", ["agent-ca.crt", "brain-ca.crt"]),
    tlsFlags: "--tls-cert",
    bodyBytesMax: 1024,
    clock: systemClock,
    handle: () => Response.json({ ok: true }),
  });
});
afterAll(async () => {
  await listener.stop(100);
  await dir[Symbol.asyncDispose]();
});

test("a cluster listener lets agents and the brain in", async () => {
  expect(await call("agent")).toEqual({ ok: true });
  expect(await call("brain")).toEqual({ ok: true });
});

test("a certificate of another role is refused", async () => {
  await expect(call("admin")).rejects.toMatchObject({ code: "Unavailable" });
});

test("no certificate is refused", async () => {
  const { ca } = await material("agent", ["agent-ca.crt"]);
  await expect(fetch(listener.url, { tls: { ca } })).rejects.toThrow();
});

test("a client doesn't talk to a server of a CA it does not trust", async () => {
  await expect(call("brain", ["admin-ca.crt"])).rejects.toMatchObject({ code: "Unavailable" });
});

test("plain HTTP gets nothing from a TLS listener", async () => {
  await expect(fetch(listener.url.replace("https", "http"))).rejects.toThrow();
  const { promise, resolve } = Promise.withResolvers<string>();
  let got = "";
  const socket = connect(listener.port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  socket.on("data", (data) => {
    got += data.toString("latin1");
  });
  socket.on("error", () => undefined);
  socket.on("close", () => resolve(got));
  expect(await promise).not.toContain("200 OK");
});

test("new certificates are taken without a restart, and old ones are no longer accepted", async () => {
  const before = await tlsFilesStamp({
    certFile: join(dir.path, "agent.crt"),
    keyFile: join(dir.path, "agent.key"),
    caFiles: [],
  });
  await using other = await tempDir("tls-other");
  await createTlsFiles({ dir: other.path, hosts: [] });
  const own = await material("agent", ["agent-ca.crt"]);
  const files = ["agent.crt", "agent.key", "agent-ca.crt", "agent-ca.key"];
  for (const file of files) await copyFile(join(other.path, file), join(dir.path, file));
  const after = await tlsFilesStamp({
    certFile: join(dir.path, "agent.crt"),
    keyFile: join(dir.path, "agent.key"),
    caFiles: [],
  });
  expect(after).not.toBe(before);
  listener.replaceTls(await material("agent", ["agent-ca.crt", "brain-ca.crt"]));
  expect(await call("agent")).toEqual({ ok: true });
  await expect(
    createClient({ peer: "n1", baseUrl: listener.url, tls: own, policy: single }).json("GET", "/", okSchema),
  ).rejects.toMatchObject({ code: "Unavailable" });
});

test("renewing keeps the CAs; making them twice is refused", async () => {
  await using fresh = await tempDir("tls-renew");
  const written = await createTlsFiles({ dir: fresh.path, hosts: ["n1"] });
  expect(written).toHaveLength(12);
  const read = (file: string) => Bun.file(join(fresh.path, file)).text();
  const [ca, leaf] = [await read("agent-ca.crt"), await read("agent.crt")];
  await expect(createTlsFiles({ dir: fresh.path, hosts: [] })).rejects.toMatchObject({ code: "AlreadyExists" });
  await createTlsFiles({ dir: fresh.path, hosts: ["n2"], renew: true });
  expect(await read("agent-ca.crt")).toBe(ca);
  expect(await read("agent.crt")).not.toBe(leaf);
  const mode = (await Bun.file(join(fresh.path, "agent.key")).stat()).mode & 0o777;
  expect(mode).toBe(0o600);
  await expect(createTlsFiles({ dir: `${fresh.path}/x`, hosts: ["a b"] })).rejects.toThrow('got "a b"');
});

test("missing and wrong files are named together with what to do", async () => {
  await expect(material("nobody", ["agent-ca.crt"])).rejects.toThrow(
    /nobody\.crt can't be read \(ENOENT\); make the files with/,
  );
  const files = { certFile: join(dir.path, "brain.key"), keyFile: join(dir.path, "brain.key"), caFiles: ["x"] };
  await expect(loadTlsMaterial({ ...files, caFiles: [files.keyFile] })).rejects.toThrow(
    'holds no PEM block "CERTIFICATE"',
  );
  await expect(loadTlsMaterial({ ...files, caFiles: [] })).rejects.toThrow("nobody could be trusted");
});

test("off loopback without TLS is refused, naming the flags", () => {
  const start = () =>
    startListener({
      name: "cluster",
      address: parseListenAddress(":0", "--listen"),
      tlsFlags: "--tls-cert, --tls-key and --client-ca",
      bodyBytesMax: 1,
      clock: systemClock,
      handle: () => new Response(),
    });
  expect(start).toThrow(
    /reachable from other machines \(0\.0\.0\.0\) without TLS: give --tls-cert, --tls-key and --client-ca/,
  );
});

test("a port that another process has is refused, with TLS too", async () => {
  const options = {
    name: "admin",
    address: { hostname: "127.0.0.1", port: listener.port },
    tlsFlags: "--tls-cert",
    bodyBytesMax: 1,
    clock: systemClock,
    handle: () => new Response(),
  };
  expect(() => startListener(options)).toThrow("another process has that port");
  const tls = await material("agent", ["agent-ca.crt"]);
  expect(() => startListener({ ...options, tls })).toThrow("another process has that port");
});
