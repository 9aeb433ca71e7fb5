import { describe, expect, test } from "bun:test";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { commands } from "./commands.ts";
import { brainUrl } from "./connect.ts";
import { createProgress, progressText, secondsText } from "./progress.ts";
import { editDistance, nearest } from "./suggest.ts";
import { run } from "./testing/run.ts";
import { rangesText } from "./text.ts";

describe("wrong use exits 2 and says what is allowed", () => {
  test.each([
    [["volum", "list"], 'did you mean "volume"?'],
    [["volume", "lst"], 'did you mean "couchestor volume list"?'],
    [["demoo"], 'did you mean "demo"?'],
    [["xyzzy"], '"xyzzy" is not a verb; `couchestor help` lists them'],
    [["volume", "xyzzy"], "is not a verb. There are: create, "],
    [["volume", "list", "--jsn"], "did you mean --json?"],
    [["volume", "import", "a"], "--file FILE is missing"],
    [["volume", "import"], "NAME is missing"],
    [["volume", "list", "extra"], "one argument too many"],
    [["volume", "create", "a", "--size", "many"], '--size: got "many"'],
    [["volume", "create", "a", "--size", "1GiB", "--code", "40+2", "--brain", "http://127.0.0.1:1"], "K 1–32"],
    [["standalone", "--data-dir", "d", "--repair-after", "soon"], '--repair-after: got "soon"'],
    [["standalone", "--data-dir", "d", "--log-format", "xml"], "allowed is one of text, json"],
    [["stripe", "list", "--state", "Lost"], "allowed is one of Unwritten, Healthy, Degraded, Held, Unrecoverable"],
    [["node", "list"], "which brain?"],
    [["node", "list", "--brain", "localhost"], "http:// or https://"],
    [["node", "list", "--data-dir", "no-such-folder"], "does not exist"],
    [["completion", "fish"], "bash, zsh"],
    [["--json", "volume"], "the verb comes first"],
  ])("%j", async (argv, message) => {
    const { code, stdout, stderr } = await run(argv);
    expect(stdout + stderr).toContain(message);
    expect(code).toBe(2);
  });

  test("with --json the problem is the one document on stdout", async () => {
    const { json, stderr } = await run(["node", "list", "--json", "--brain", "http://127.0.0.1:1"]);
    expect(json()).toMatchObject({ error: { code: "Unavailable", status: 503 } });
    expect(stderr).toBe("");
  });
});

describe("help", () => {
  test("every verb explains itself, with an example that parses", async () => {
    for (const command of commands) {
      const { code, stdout } = await run([...command.path, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toContain(`couchestor ${command.path.join(" ")}: ${command.summary}`);
      expect(stdout).toContain("examples:");
      for (const example of command.examples) {
        const words =
          example.command
            .split(/ [|>] /)[0]
            ?.split(" ")
            .slice(1) ?? [];
        expect((await run([...words, "--help"])).code).toBe(0);
      }
    }
  });

  test("the front page and the groups list every verb", async () => {
    const { stdout } = await run(["help"]);
    for (const command of commands) expect(stdout).toContain(`  ${command.path.join(" ")} `);
    expect((await run(["volume", "--help"])).stdout).toContain("volume recover");
    expect((await run([])).code).toBe(2);
    expect((await run(["--help"])).code).toBe(0);
  });

  test("version tells the codec", async () => {
    expect((await run(["version", "--json"])).json()).toMatchObject({ codec: "isa-l 2.31.1", bun: Bun.version });
  });
});

describe("completion", () => {
  for (const shell of ["bash", "zsh"]) {
    test.skipIf(Bun.which(shell) === null)(`${shell} takes the script`, async () => {
      const { stdout } = await run(["completion", shell]);
      const checked = Bun.spawnSync([shell, "-n"], { stdin: Buffer.from(stdout) });
      expect(checked.stderr.toString()).toBe("");
      expect(checked.exitCode).toBe(0);
    });
  }

  test.skipIf(Bun.which("bash") === null)("bash completes verbs, options and choices", async () => {
    const { stdout } = await run(["completion", "bash"]);
    const complete = (...words: string[]): string[] => {
      const script = `${stdout}\nCOMP_WORDS=(${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _couchestor; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return Bun.spawnSync(["bash", "-c", script]).stdout.toString().trim().split("\n");
    };
    expect(complete("couchestor", "vol")).toEqual(["volume"]);
    expect(complete("couchestor", "volume", "im")).toEqual(["import"]);
    expect(complete("couchestor", "volume", "import", "--stripe")).toEqual(["--stripe-size", "--stripes-per-run"]);
    expect(complete("couchestor", "stripe", "list", "--state", "Un")).toEqual(["Unwritten", "Unrecoverable"]);
    expect(complete("couchestor", "completion", "z")).toEqual(["zsh"]);
  });
});

describe("finding the brain", () => {
  test("the command line outranks the environment, a standalone's file the brain's own", async () => {
    await using dir = await tempDir("cli-connect");
    const env = { COUCHESTOR_BRAIN: "http://127.0.0.1:1" };
    expect(await brainUrl({}, env)).toBe("http://127.0.0.1:1");
    expect(await brainUrl({ brain: "http://127.0.0.1:2" }, env)).toBe("http://127.0.0.1:2");
    const endpoint = {
      pid: 1,
      role: "brain",
      version: "0.1.0",
      instanceUuid: crypto.randomUUID(),
      clusterUrl: "http://127.0.0.1:3",
      adminUrl: "http://127.0.0.1:4",
      metricsUrl: "",
      healthUrl: "",
    };
    await mkdir(join(dir.path, "brain"));
    await writeFile(join(dir.path, "brain", "endpoint.json"), JSON.stringify(endpoint));
    expect(await brainUrl({ dataDir: dir.path }, env)).toBe("http://127.0.0.1:4");
    const member = { name: "brain", pid: 1, dataDir: dir.path };
    await writeFile(
      join(dir.path, "standalone.json"),
      JSON.stringify({ pid: 1, version: "0.1.0", brainUrl: "http://127.0.0.1:5", brain: member, agents: [] }),
    );
    expect(await brainUrl({ dataDir: dir.path }, {})).toBe("http://127.0.0.1:5");
    await writeFile(join(dir.path, "standalone.json"), "{");
    await expect(brainUrl({ dataDir: dir.path }, {})).rejects.toThrow("is not JSON");
  });
});

test("cert init makes the files once and refuses to overwrite them", async () => {
  await using dir = await tempDir("cli-cert");
  const tls = join(dir.path, "tls");
  expect((await run(["cert", "init", "--dir", tls, "--host", "node1.lan"])).code).toBe(0);
  expect(await readdir(tls)).toContain("admin.crt");
  expect((await run(["cert", "init", "--dir", tls])).code).toBe(1);
  expect((await run(["cert", "init", "--dir", tls, "--renew"])).code).toBe(0);
});

describe("figures", () => {
  test("suggestions are near or none", () => {
    expect(editDistance("improt", "import")).toBe(1);
    expect(nearest("imprt", ["export", "import"])).toBe("import");
    expect(nearest("zzz", ["export", "import"])).toBeUndefined();
  });

  test("ranges of stripes are merged and bounded", () => {
    expect(
      rangesText([
        { first: 16, count: 16 },
        { first: 0, count: 16 },
        { first: 40, count: 1 },
      ]),
    ).toBe("0–31, 40");
    expect(
      rangesText(
        Array.from({ length: 10 }, (_, i) => ({ first: i * 2, count: 1 })),
        2,
      ),
    ).toBe("0, 2 and 8 more ranges");
  });

  test("progress has a bar and ETA on a terminal, a line every few seconds elsewhere", async () => {
    const clock = new FakeClock();
    const lines: string[] = [];
    const stream = { isTty: false, columns: 80, write: (text: string | Uint8Array) => void lines.push(String(text)) };
    const plain = createProgress({ label: "import", total: 100 * 1024 * 1024, unit: "bytes" }, stream, clock);
    for (let i = 1; i <= 10; i++) {
      await clock.advance(1000);
      plain.update(i * 10 * 1024 * 1024);
    }
    plain.stop();
    expect(lines).toEqual([
      "import  50 %  50.0 MiB of 100 MiB  10.0 MiB/s  ETA 5.0 s\n",
      "import 100 %  100 MiB of 100 MiB  10.0 MiB/s\n",
    ]);
    expect(progressText({ label: "audit", total: 4, unit: "stripes" }, 1, 0, 75, 80)).toBe(
      "audit ███████░░░░░░░░░░░░░░░░░░░░░  25 %  1 of 4 stripes  ETA 1 m 15 s",
    );
    expect(secondsText(7_500)).toBe("2 h 5 m");
  });
});
