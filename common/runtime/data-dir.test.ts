import { expect, test } from "bun:test";
import { readdir, stat, writeFile } from "node:fs/promises";
import { withTempDir } from "../testing/temp-dir.ts";
import { type Endpoint, endpointPath, readEndpoint, removeEndpoint, writeEndpoint } from "./data-dir.ts";
import { systemPrng } from "./prng.ts";

const endpoint = (): Endpoint => ({
  pid: process.pid,
  role: "agent",
  version: "0.1.0",
  instanceUuid: systemPrng.uuid(),
  clusterUrl: "http://127.0.0.1:1",
  adminUrl: "http://127.0.0.1:2",
  metricsUrl: "http://127.0.0.1:3",
  healthUrl: "http://127.0.0.1:4",
});

test("what was written is read back, and only its owner may read it", async () => {
  await withTempDir("endpoint", async (dir) => {
    expect(await readEndpoint(dir)).toBeUndefined();
    const written = endpoint();
    await writeEndpoint(dir, written);
    expect(await readEndpoint(dir)).toEqual(written);
    expect(await readdir(dir)).toEqual(["endpoint.json"]);
    expect((await stat(endpointPath(dir))).mode & 0o077).toBe(0);
  });
});

test("a daemon that stops late does not remove the endpoint of the one that came after it", async () => {
  await withTempDir("endpoint", async (dir) => {
    const [older, newer] = [endpoint(), endpoint()];
    await writeEndpoint(dir, older);
    await writeEndpoint(dir, newer);
    await removeEndpoint(dir, older.instanceUuid);
    expect(await readEndpoint(dir)).toEqual(newer);
    await removeEndpoint(dir, newer.instanceUuid);
    expect(await readEndpoint(dir)).toBeUndefined();
  });
});

test("a damaged file is named, never half understood", async () => {
  await withTempDir("endpoint", async (dir) => {
    await writeFile(endpointPath(dir), '{"pid": 1');
    await expect(readEndpoint(dir)).rejects.toThrow("not JSON");
    await writeFile(endpointPath(dir), JSON.stringify({ ...endpoint(), pid: -1 }));
    await expect(readEndpoint(dir)).rejects.toThrow("pid: got -1");
  });
});
