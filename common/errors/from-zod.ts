/**
 * Turns zod's findings into one `InvalidArgument` error that names every path, what came there, and what is allowed.
 */
import { ZodError, type z } from "zod";
import { AppError } from "./app-error.ts";

/** How many findings one error carries; the rest are counted. */
const findingsMax = 16;
/** How many characters of a wrong value are repeated to the sender. */
const shownCharactersMax = 80;

export interface Finding {
  /** Dotted path, `spec.code.k`; empty for the value itself. */
  path: string;
  came: string;
  allowed: string;
}

type Issue = z.core.$ZodIssue;

/**
 * Parses `value` by `schema` and returns the result.
 * `what` names the thing for the reader ("request body", "--repair-after"). Throws `InvalidArgument`.
 */
export function parseOrThrow<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw invalidArgumentFromZod(result.error, what, { value });
}

/** The `InvalidArgument` error for `error`. Pass `from.value` (what was parsed) so that the error can say what came. */
export function invalidArgumentFromZod(error: ZodError, what: string, from?: { value: unknown }): AppError {
  const findings = error.issues.flatMap((issue) => findingsOf(issue, from));
  const shown = findings.slice(0, findingsMax);
  const lines = shown.map((f) => `${f.path === "" ? "" : `${f.path}: `}got ${f.came}, ${f.allowed}`);
  if (findings.length > shown.length) lines.push(`and ${findings.length - shown.length} more`);
  return new AppError("InvalidArgument", `${what}: ${lines.join("; ")}`, {
    data: { what, findings: shown },
    cause: error,
  });
}

/** Whether `error` comes from a zod parse. */
export function isZodError(error: unknown): error is ZodError {
  return error instanceof ZodError;
}

function findingsOf(issue: Issue, from: { value: unknown } | undefined): Finding[] {
  const path = issue.path.map(String).join(".");
  const input = issue.input ?? (from === undefined ? undefined : valueAt(from.value, issue.path));
  const known = issue.input !== undefined || from !== undefined;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: path === "" ? key : `${path}.${key}`,
      came: "a field that is not known",
      allowed: "remove it",
    }));
  }
  return [{ path, came: known ? show(input) : "another value", allowed: allowedBy(issue) }];
}

function allowedBy(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `allowed is ${issue.expected === "int" ? "an integer" : issue.expected}`;
    case "too_small":
      return `allowed is ${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}${unitOf(issue.origin)}`;
    case "too_big":
      return `allowed is ${issue.inclusive === false ? "less than" : "at most"} ${issue.maximum}${unitOf(issue.origin)}`;
    case "invalid_value":
      return `allowed is ${issue.values.length > 1 ? "one of " : ""}${issue.values.map((v) => show(v)).join(", ")}`;
    case "not_multiple_of":
      return `allowed is a multiple of ${issue.divisor}`;
    case "invalid_format":
      // A schema's own words are for people; the pattern alone is not.
      if (!issue.message.startsWith("Invalid ")) return issue.message;
      return issue.pattern === undefined ? `allowed is ${issue.format}` : `allowed is ${issue.format} ${issue.pattern}`;
    case "invalid_union":
      return allowedByUnion(issue);
    default:
      return issue.message;
  }
}

function allowedByUnion(issue: Extract<Issue, { code: "invalid_union" }>): string {
  const branches = issue.errors.map((branch) => {
    const first = branch[0];
    if (first === undefined) return "another form";
    const at = first.path.length === 0 ? "" : `${first.path.join(".")} `;
    return at + allowedBy(first).replace(/^allowed is /, "");
  });
  return branches.length === 0 ? issue.message : `allowed is ${[...new Set(branches)].join(" or ")}`;
}

function unitOf(origin: string): string {
  if (origin === "string") return " characters";
  if (origin === "array" || origin === "set" || origin === "map") return " entries";
  return "";
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at: unknown = value;
  for (const key of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return at;
}

/** A short, one-line rendering of a value a sender gave us. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? `an array of ${value.length}` : "an object";
  }
  const text = JSON.stringify(value) ?? typeof value;
  return text.length <= shownCharactersMax ? text : `${text.slice(0, shownCharactersMax)}… (${text.length} characters)`;
}
