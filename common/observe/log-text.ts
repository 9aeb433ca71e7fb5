/**
 * One log line for people out of pino's JSON line: `2026-01-02T03:04:05.678Z WARN  brain: pool is full pool=n1/ssd`.
 */

const names: Record<number, string> = { 10: "TRACE", 20: "DEBUG", 30: "INFO ", 40: "WARN ", 50: "ERROR", 60: "FATAL" };

/** The text form of one JSON line, with a newline. What isn't JSON is passed through. */
export function textLine(jsonLine: string): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(jsonLine) as Record<string, unknown>;
  } catch {
    return jsonLine;
  }
  const { time, level, component, msg, err, ...fields } = record;
  const head = `${String(time)} ${names[Number(level)] ?? String(level)} ${component === undefined ? "" : `${component}: `}`;
  const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${textValue(value)}`);
  return `${head}${msg === undefined ? "" : oneLine(String(msg))}${pairs.join("")}${errorText(err)}\n`;
}

function textValue(value: unknown): string {
  if (typeof value === "string") return /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value);
}

function errorText(error: unknown): string {
  if (typeof error !== "object" || error === null) return "";
  const { message, stack, code, data, cause } = error as Record<string, unknown>;
  const frames = typeof stack === "string" ? stack.split("\n").slice(1, 9) : [];
  const named = code === undefined ? "" : ` code=${textValue(code)}`;
  const details = data === undefined ? "" : ` data=${textValue(data)}`;
  const because =
    cause === undefined ? "" : ` cause=${textValue((cause as { message?: unknown } | null)?.message ?? cause)}`;
  const head = ` error=${JSON.stringify(String(message ?? ""))}${named}${details}${because}`;
  return head + frames.map((frame) => `\n    ${frame.trim()}`).join("");
}

/** A peer's text can't forge a second log line. */
function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ⏎ ");
}
