/** Reads the values of flags: what is wrong with one is noted, so that all problems can be told at once. */
import type { PeerFiles } from "@couchestor/common/tls/peer-credentials.ts";
import { parseBytes } from "@couchestor/common/units/bytes.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import type { HeatMetrics } from "../tiering/heat-queries.ts";
import { named, type Twin } from "./flags.ts";

const metricNamesMax = 8;
const rateMin = 1024 * 1024;
const matcher = String.raw`\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=|!=|=~|!~)\s*"([^"\\\n]|\\.)*"\s*`;
const matchers = new RegExp(`^${matcher}(,${matcher})*$`);

/** Reads values; what is wrong with one is noted, and anything takes its place. */
export class Checks {
  readonly #problems: string[];
  readonly #twin: (name: Twin) => string;

  constructor(problems: string[], twin: (name: Twin) => string) {
    this.#problems = problems;
    this.#twin = twin;
  }

  whole(name: Twin, min: number, max: number): number {
    const got = this.#twin(name);
    if (/^\d{1,9}$/.test(got) && Number(got) >= min && Number(got) <= max) return Number(got);
    this.#problems.push(`${named(name)}: got "${got}", allowed is a whole number from ${min} to ${max}`);
    return min;
  }

  boolean(name: Twin): boolean {
    const got = this.#twin(name).toLowerCase();
    if (!["true", "false", "1", "0", ""].includes(got))
      this.#problems.push(`${named(name)}: got "${got}", allowed is true or false`);
    return got === "true" || got === "1";
  }

  url(name: Twin, got: string): string {
    const url = URL.canParse(got) ? new URL(got) : undefined;
    const secret = url !== undefined && (url.username !== "" || url.password !== "");
    if (url !== undefined && /^https?:$/.test(url.protocol) && !secret) return got;
    // What stands before an @ may be a password.
    const shown = got.replace(/[^/]*@/, "…@");
    const without = secret ? " without a user or password, which would be in every log: use a token file" : "";
    this.#problems.push(`${named(name)}: got "${shown}", allowed is an http:// or https:// address${without}`);
    return "";
  }

  /** Names of series, best first, and what narrows them down. */
  heatMetrics(): HeatMetrics {
    const names = (name: Twin): string[] => {
      const got = this.#twin(name);
      const found = got.split(",").map((one) => one.trim());
      if (found.length > metricNamesMax || !found.every((one) => /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(one)))
        this.#problems.push(
          `${named(name)}: got "${got}", allowed are 1 to ${metricNamesMax} names of metrics with commas between them`,
        );
      return found;
    };
    const selector = this.#twin("prometheus-selector").trim();
    if (selector !== "" && !matchers.test(selector))
      this.#problems.push(
        `${named("prometheus-selector")}: got "${selector}", allowed are label matchers such as cluster="a",env!="test"`,
      );
    return {
      reads: names("prometheus-read-metrics"),
      writes: names("prometheus-write-metrics"),
      ...(selector === "" ? {} : { selector }),
    };
  }

  /** The files that say who we are to a peer, and whom to trust there. */
  peerFiles(peer: "prometheus" | "mayastor", url: string): PeerFiles {
    const file = (name: Twin) => this.#twin(name) || undefined;
    const files: PeerFiles = {
      tokenFile: file(`${peer}-token-file`),
      caFile: file(`${peer}-ca`),
      certFile: file(`${peer}-cert`),
      keyFile: file(`${peer}-key`),
    };
    const { caFile, certFile, keyFile } = files;
    if ((certFile === undefined) !== (keyFile === undefined)) {
      const [given, lacking] = certFile === undefined ? (["key", "cert"] as const) : (["cert", "key"] as const);
      this.#problems.push(
        `${named(`${peer}-${lacking}`)}: got nothing, but --${peer}-${given} is set: give both or none`,
      );
    }
    if ((caFile ?? certFile ?? keyFile) !== undefined && url.startsWith("http:")) {
      this.#problems.push(`${named(`${peer}-url`)}: got "${url}", allowed with certificates is an https:// address`);
    }
    return files;
  }

  /** Words with commas between, each of a list. */
  words<const T extends string>(name: Twin, allowed: readonly T[]): T[] {
    const got = this.#twin(name)
      .split(",")
      .map((word) => word.trim())
      .filter((word) => word !== "");
    const wrong = got.filter((word) => !(allowed as readonly string[]).includes(word));
    if (wrong.length > 0)
      this.#problems.push(`${named(name)}: got "${wrong.join(", ")}", allowed are ${allowed.join(", ")}`);
    return got as T[];
  }

  /** Bytes a second such as `200MiB`; undefined without one. */
  rate(name: Twin): number | undefined {
    const got = this.#twin(name);
    if (got === "") return undefined;
    return this.take(1, () => {
      const bytes = parseBytes(got.replace(/\/s$/, ""), named(name));
      if (bytes < rateMin) throw new Error(`${named(name)}: got ${got}, allowed is at least 1MiB`);
      return bytes;
    });
  }

  duration(flag: string, got: string, minMs: number, maxMs: number): number {
    return this.take(minMs, () => {
      const ms = parseDuration(got, `--${flag}`);
      if (ms >= minMs && ms <= maxMs) return ms;
      throw new Error(`--${flag}: got ${got}, allowed is ${minMs / 1000}s to ${maxMs / 1000}s`);
    });
  }

  take<T>(fallback: T, read: () => T): T {
    try {
      return read();
    } catch (error) {
      this.#problems.push(error instanceof Error ? error.message : String(error));
      return fallback;
    }
  }
}
