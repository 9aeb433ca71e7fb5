/**
 * Runs one command in a machine of the lab: `deploy/lab/run [options] COMMAND…`.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { machines } from "./machine.ts";
import { runJob } from "./vm.ts";

const help = `run [options] COMMAND…: runs a shell command in a machine of the lab and exits with its status (124: took too long)

  --machine NAME   ${Object.keys(machines).join(", ")} (default: standard)
  --share FOLDER   another folder that the guest sees, read-only, at the same place; may be repeated
  --timeout S      seconds until the machine is ended (default: 120)
  --memory MIB     memory of the guest (default: 2048)
  --keep           keep the job's folder: disk images, console, dmesg

The guest sees this checkout read-only at its own place and starts in the current folder, or in the checkout's root if that is elsewhere.
Environment: LAB_CPUS (2), LAB_ACCELERATOR (tcg,thread=multi; kvm where it works)`;

const root = join(import.meta.dir, "../..");
const lab = join(root, ".deps/lab");
const tookTooLong = 124;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: optionsFirst(process.argv.slice(2)),
    allowPositionals: true,
    options: {
      machine: { type: "string", default: "standard" },
      share: { type: "string", multiple: true, default: [] },
      timeout: { type: "string", default: "120" },
      memory: { type: "string", default: "2048" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const machine = machines[values.machine];
  if (values.help || positionals.length === 0 || machine === undefined) {
    console.error(machine === undefined ? `no machine ${values.machine}\n\n${help}` : help);
    return values.help ? 0 : 2;
  }
  if (!existsSync(join(lab, "initrd.img"))) {
    console.error("the lab is not there: run deploy/deps/fetch lab");
    return 2;
  }
  const folder = process.cwd();
  const result = await runJob(
    {
      command: positionals.join(" "),
      folder: `${folder}/`.startsWith(`${root}/`) ? folder : root,
      machine,
      shares: [root, ...values.share.map((path) => resolve(path))],
      lab,
      timeoutMs: Number(values.timeout) * 1000,
      memoryMiB: Number(values.memory),
      cpus: Number(process.env["LAB_CPUS"] ?? 2),
      accelerator: process.env["LAB_ACCELERATOR"] ?? "tcg,thread=multi",
      keep: values.keep,
    },
    systemClock,
  );
  process.stdout.write(result.stdout);
  process.stderr.write(result.stderr);
  const kept = result.job === undefined ? "" : `, kept in ${result.job}`;
  console.error(`lab: ${result.seconds.toFixed(1)} s, disks after ${result.readySeconds} s${kept}`);
  return result.exitCode ?? tookTooLong;
}

/** Puts `--` in front of the command, so that its own options stay its own. */
function optionsFirst(words: readonly string[]): string[] {
  const flags = new Set(["--keep", "--help"]);
  let at = 0;
  while (at < words.length && words[at]?.startsWith("--") === true && words[at] !== "--") {
    at += flags.has(words[at] ?? "") || (words[at] ?? "").includes("=") ? 1 : 2;
  }
  return [...words.slice(0, at), "--", ...words.slice(words[at] === "--" ? at + 1 : at)];
}

process.exitCode = await main();
