/**
 * Takes secrets out of what is about to be logged, by the names of the fields that hold them.
 */

const secretName =
  /(authorization|cookie|passw(or)?d|passphrase|secret|token|credential|api-?_?key|private-?_?key|key-?_?pem|tls-?_?key)$/i;
const exactSecretNames = new Set(["key", "pem"]);

export const redacted = "[redacted]";
const depthMax = 6;
const entriesMax = 64;
const charactersMax = 4096;
const pemBlock = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const urlPassword = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s/@]+@/gi;

/** Whether a field of that name holds a secret. */
export function isSecretName(name: string): boolean {
  return exactSecretNames.has(name.toLowerCase()) || secretName.test(name);
}

/** `text` without private keys and without the passwords of URLs. */
export function redactText(text: string): string {
  const clean = text.replace(pemBlock, redacted).replace(urlPassword, `$1:${redacted}@`);
  return clean.length <= charactersMax ? clean : `${clean.slice(0, charactersMax)}… (${clean.length} characters)`;
}

/** A copy of `value` without secrets, of bounded depth and size, that is safe to turn into JSON. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return typeof value === "function" ? "[function]" : value;
  if (depth >= depthMax) return "[deeper]";
  if (value instanceof Error) return redactError(value, depth);
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) {
    const shown = value.slice(0, entriesMax).map((entry) => redact(entry, depth + 1));
    return value.length > entriesMax ? [...shown, `and ${value.length - entriesMax} more`] : shown;
  }
  return redactRecord(value, depth);
}

function redactRecord(value: object, depth: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const entries = Object.entries(value);
  for (const [name, entry] of entries.slice(0, entriesMax)) {
    out[name] = isSecretName(name) && entry !== undefined ? redacted : redact(entry, depth + 1);
  }
  if (entries.length > entriesMax) out["…"] = `and ${entries.length - entriesMax} more`;
  return out;
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  return {
    type: error.name,
    message: redactText(error.message),
    ...redactRecord(error, depth),
    ...(error.cause === undefined ? {} : { cause: redact(error.cause, depth + 1) }),
    stack: redactText(error.stack ?? ""),
  };
}
