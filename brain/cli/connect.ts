/** Finds the brain: `--brain`, `--data-dir`, COUCHESTOR_BRAIN, COUCHESTOR_DATA_DIR, in this order. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { readEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import { loadTlsMaterial, type TlsMaterial } from "@couchestor/common/tls/material.ts";
import { readStandaloneFile } from "../standalone/state-file.ts";
import { type BrainClient, createBrainClient } from "./brain-client.ts";
import type { CommandContext } from "./command.ts";
import { type ParsedArguments, UsageError } from "./parsed-arguments.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** A client for the brain that the options name. Throws `UsageError` if none can be found. */
export async function connectBrain(context: CommandContext, args: ParsedArguments): Promise<BrainClient> {
  const { env } = context.host;
  const url = await brainUrl({ brain: args.text("brain"), dataDir: args.text("data-dir") }, env);
  return createBrainClient(url, await clientTls(args, env), context.signal);
}

/** The administrator's certificate: the files of `--tls-dir`, or those named one by one; undefined without any. */
async function clientTls(args: ParsedArguments, env: Env): Promise<TlsMaterial | undefined> {
  const dir = args.text("tls-dir") ?? env["COUCHESTOR_TLS_DIR"];
  const inDir = (name: string): string | undefined => (dir ? join(dir, name) : undefined);
  const certFile = args.text("tls-cert") ?? inDir("admin.crt");
  const keyFile = args.text("tls-key") ?? inDir("admin.key");
  const given = args.list("tls-ca");
  const caFiles = given.length > 0 || !dir ? given : [join(dir, "brain-ca.crt"), join(dir, "agent-ca.crt")];
  if (certFile === undefined && keyFile === undefined && caFiles.length === 0) return undefined;
  if (certFile === undefined || keyFile === undefined || caFiles.length === 0) {
    throw new UsageError(
      "--tls-cert, --tls-key and --tls-ca go together: give all three, or --tls-dir with the files of `couchestor cert init`",
    );
  }
  return loadTlsMaterial({ certFile, keyFile, caFiles });
}

/** The admin URL of the brain. What is given on the command line outranks the environment. */
export async function brainUrl(
  given: { brain?: string | undefined; dataDir?: string | undefined },
  env: Env,
): Promise<string> {
  if (given.brain !== undefined) return checkUrl(given.brain, "--brain");
  if (given.dataDir !== undefined) return fromDataDir(given.dataDir, "--data-dir");
  const fromEnv = env["COUCHESTOR_BRAIN"];
  if (fromEnv) return checkUrl(fromEnv, "COUCHESTOR_BRAIN");
  const dataDir = env["COUCHESTOR_DATA_DIR"];
  if (dataDir) return fromDataDir(dataDir, "COUCHESTOR_DATA_DIR");
  throw new UsageError(
    "which brain? Give --brain URL (its admin address), or --data-dir DIR of a standalone on this machine, or set COUCHESTOR_BRAIN",
  );
}

function checkUrl(text: string, field: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new UsageError(
    `${field}: got "${text}", allowed is an http:// or https:// address such as http://127.0.0.1:7401`,
  );
}

async function fromDataDir(dataDir: string, field: string): Promise<string> {
  const standalone = await readStandaloneFile(dataDir);
  if (standalone !== undefined) return standalone.brainUrl;
  for (const folder of [join(dataDir, "brain"), dataDir]) {
    const endpoint = await readEndpoint(folder);
    if (endpoint?.role === "brain") return endpoint.adminUrl;
  }
  const there = await access(dataDir).then(
    () => true,
    () => false,
  );
  throw new UsageError(
    there
      ? `${field}: no brain is running from ${dataDir}; start one with: couchestor standalone --data-dir ${dataDir}`
      : `${field}: ${dataDir} does not exist`,
  );
}
