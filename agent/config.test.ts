import { expect, test } from "bun:test";
import { parseAgentConfig } from "./config.ts";

const good = [
  "--node-name",
  "n1",
  "--brain",
  "http://127.0.0.1:7400/",
  "--data-dir",
  "/d",
  "--pool",
  "fast=/p,tier=hot,zone=a",
];

test("the flags of a plain agent", () => {
  const config = parseAgentConfig([...good, "--label", "zone=a", "--label", "rack=r1", "--memory-budget", "64MiB"]);
  expect(config).toMatchObject({
    nodeName: "n1",
    brainUrl: "http://127.0.0.1:7400",
    pools: [{ poolName: "fast", path: "/p", labels: { tier: "hot", zone: "a" } }],
    labels: { zone: "a", rack: "r1" },
    listen: { hostname: "127.0.0.1", port: 0 },
    metricsListen: { hostname: "127.0.0.1", port: 8080 },
    healthListen: { hostname: "127.0.0.1", port: 8081 },
    memoryBudgetBytes: 64 * 2 ** 20,
    clusterTls: undefined,
  });
});

test("all problems are told at once, each naming its flag, what came and what is allowed", () => {
  const bad = [
    "--node-name",
    "N_1",
    "--brain",
    "ftp://x",
    "--pool",
    "p",
    "--listen",
    "nowhere",
    "--label",
    "x",
    "--log-format",
    "xml",
  ];
  const message = (() => {
    try {
      parseAgentConfig(bad);
      return "";
    } catch (error) {
      return String(error);
    }
  })();
  for (const part of [
    '--node-name: got "N_1"',
    '--brain: got "ftp://x"',
    '--pool: got "p", allowed is NAME=PATH',
    '--listen: got "nowhere"',
    '--label: got label "x", allowed is key=value',
    '--log-format: got "xml", allowed is text, json',
    "--data-dir: got nothing",
  ]) {
    expect(message).toContain(part);
  }
  expect(() => parseAgentConfig([...good, "--pool", "fast=/q"])).toThrow('--pool: "fast" is given twice');
  expect(() => parseAgentConfig([...good, "--pool", "slow=/p"])).toThrow('--pool: "/p" is given twice');
  expect(() => parseAgentConfig([...good, "--nonsense"])).toThrow("--nonsense");
  expect(() => parseAgentConfig(good.slice(0, 6))).toThrow("--pool: got none");
});

test("off loopback without certificates is refused, naming the flags that are missing", () => {
  expect(() => parseAgentConfig([...good, "--listen", "10.0.0.1:7500"])).toThrow(
    "--listen: 10.0.0.1 is reachable from other machines: give --tls-cert, --tls-key and --client-ca",
  );
  expect(() => parseAgentConfig([...good, "--tls-cert", "c", "--tls-key", "k"])).toThrow(
    "TLS needs --tls-cert, --tls-key and --client-ca together",
  );
  const tls = [
    "--tls-cert",
    "c",
    "--tls-key",
    "k",
    "--client-ca",
    "a",
    "--client-ca",
    "b",
    "--admin-client-ca",
    "d",
    "--peer-ca",
    "a",
  ];
  expect(() => parseAgentConfig([...good, ...tls, "--listen", ":7500"])).toThrow(
    "--advertise-host: needed with --listen",
  );
  const config = parseAgentConfig([...good, ...tls, "--listen", ":7500", "--advertise-host", "n1.example"]);
  expect(config.clusterTls).toEqual({ certFile: "c", keyFile: "k", caFiles: ["a", "b"] });
  expect(config.adminTls?.caFiles).toEqual(["d"]);
});

test("a pool past the kernel needs an engine that can, and the engines are named", () => {
  const spdk = [...good, "--pool", "raw=spdk:0000:5e:00.0/1"];
  expect(() => parseAgentConfig(spdk)).toThrow("--pool raw: spdk:0000:5e:00.0/1 needs --io-engine spdk");
  expect(parseAgentConfig([...spdk, "--io-engine", "spdk"])).toMatchObject({
    ioEngine: "spdk",
    pools: [{ poolName: "fast" }, { poolName: "raw", path: "spdk:0000:5e:00.0/1" }],
  });
  expect(parseAgentConfig(good)).toMatchObject({ ioEngine: "libaio", ioEngineOptions: "" });
  expect(() => parseAgentConfig([...good, "--io-engine-options", "memory-mb=512"])).toThrow(
    '--io-engine-options: got "memory-mb=512", which needs --io-engine spdk: libaio has no options',
  );
  expect(() => parseAgentConfig([...good, "--io-engine", "uring"])).toThrow(
    '--io-engine: got "uring", allowed is libaio, spdk, spdk-mock',
  );
});
