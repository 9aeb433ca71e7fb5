/** Holds answers of Mayastor's REST API to its description. */
import { Ajv, type ValidateFunction } from "ajv";
import { type Json, mayastorDescription } from "./description.ts";

interface Operation {
  method: string;
  path: string;
  pattern: RegExp;
  responses: Readonly<Record<string, unknown>>;
}

/** Checks answers against the description. */
export class AnswerCheck {
  readonly #ajv = new Ajv({ strict: false, allErrors: true });
  readonly #operations: Operation[];
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(description: Json = mayastorDescription()) {
    for (const [name, format] of Object.entries(formats)) this.#ajv.addFormat(name, format);
    this.#ajv.addSchema(description, "api");
    this.#operations = Object.entries(description["paths"] as Record<string, Json>)
      .flatMap(([path, item]) =>
        Object.entries(item).map(([method, operation]) => operationOf(method, path, operation)),
      )
      .sort((a, b) => a.path.split("{").length - b.path.split("{").length);
  }

  /** What is wrong with an answer; nothing if it is as described. `path` without `/v0`. */
  problems(method: string, path: string, status: number, body: unknown): string[] {
    const operation = this.#operations.find((found) => found.method === method && found.pattern.test(path));
    if (operation === undefined) return [`${method} ${path} is not described`];
    const key = [String(status), `${String(status)[0]}XX`].find((name) => operation.responses[name] !== undefined);
    if (key === undefined) return [`${method} ${operation.path} has no answer ${status}`];
    const response = operation.responses[key] as Json;
    const at = `/paths/${pointerPart(operation.path)}/${method.toLowerCase()}/responses/${key}`;
    const pointer = typeof response["$ref"] === "string" ? response["$ref"].slice(1) : at;
    if (response["$ref"] === undefined && response["content"] === undefined)
      return body === undefined ? [] : ["a body, none is described"];
    const validate = this.#validator(`${pointer}/content/application~1json/schema`);
    if (validate(body)) return [];
    return (validate.errors ?? []).map(
      (error) => `${method} ${operation.path} ${status}: ${error.instancePath} ${error.message}`,
    );
  }

  #validator(pointer: string): ValidateFunction {
    let found = this.#validators.get(pointer);
    if (found === undefined) {
      found = this.#ajv.compile({ $ref: `api#${encodeURI(pointer)}` });
      this.#validators.set(pointer, found);
    }
    return found;
  }
}

const whole = (min: number, max: number) => ({
  type: "number" as const,
  validate: (value: number) => Number.isInteger(value) && value >= min && value <= max,
});
const formats = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  url: /^\S+$/,
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  uint8: whole(0, 255),
  int32: whole(-(2 ** 31), 2 ** 31 - 1),
  int64: whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
};

function operationOf(method: string, path: string, operation: unknown): Operation {
  const pattern = path.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{[^}]+\}/g, "[^/=]+");
  const responses = (operation as { responses: Record<string, unknown> }).responses;
  return { method: method.toUpperCase(), path, pattern: new RegExp(`^${pattern}$`), responses };
}

function pointerPart(path: string): string {
  return path.replaceAll("~", "~0").replaceAll("/", "~1");
}
