/** `--pool NAME=PATH[,label=value…]` */
import { nameSchema } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";

export interface PoolSpec {
  poolName: string;
  /** A directory, a block device, `device:ID` for a claimed device wherever it is plugged in, or `spdk:ADDRESS/NSID` past the kernel. */
  path: string;
  labels: Record<string, string>;
}

const allowed =
  "NAME=PATH[,label=value…] with a lower-case name and an absolute or relative path, such as fast=/var/lib/couchestor/fast,tier=hot; or NAME=device:ID for a claimed device; or NAME=spdk:ADDRESS/NSID with --io-engine spdk";

/** Parses one `--pool`. Throws `InvalidArgument` naming what came and what is allowed. */
export function parsePoolSpec(text: string): PoolSpec {
  const [head = "", ...labelTexts] = text.split(",");
  const equals = head.indexOf("=");
  const poolName = head.slice(0, Math.max(0, equals));
  const path = head.slice(equals + 1);
  if (equals < 1 || path === "" || !nameSchema.safeParse(poolName).success) throw invalid(text);
  const labels: Record<string, string> = {};
  for (const label of labelTexts) Object.assign(labels, parseLabel(label, `--pool ${text}`));
  return { poolName, path, labels };
}

/** Parses `key=value`. Throws `InvalidArgument` naming `what`. */
export function parseLabel(text: string, what: string): Record<string, string> {
  const match = /^([a-zA-Z0-9]([-a-zA-Z0-9_./]{0,315}[a-zA-Z0-9])?)=([-a-zA-Z0-9_.]{0,63})$/.exec(text);
  if (match?.[1] === undefined) {
    throw new AppError("InvalidArgument", `${what}: got label "${text}", allowed is key=value, such as zone=a`, {
      data: { field: what, came: text },
    });
  }
  return { [match[1]]: match[3] ?? "" };
}

/** What is wrong with several pools taken together, for people; empty if nothing is. */
export function poolSpecProblems(specs: readonly PoolSpec[]): string[] {
  const problems: string[] = [];
  if (specs.length === 0) problems.push("--pool: got none, give at least one as NAME=PATH");
  if (specs.length > 1024) problems.push(`--pool: got ${specs.length}, at most 1024 are allowed`);
  for (const field of ["poolName", "path"] as const) {
    const values = specs.map((spec) => spec[field]);
    const twice = values.find((value, i) => values.indexOf(value) < i);
    if (twice !== undefined) problems.push(`--pool: "${twice}" is given twice`);
  }
  return problems;
}

function invalid(text: string): AppError {
  return new AppError("InvalidArgument", `--pool: got "${text}", allowed is ${allowed}`, {
    data: { field: "--pool", came: text },
  });
}
