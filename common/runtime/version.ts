/**
 * Which program this is. The version comes from the package; the commit is put in by the build (`deploy/build/build.ts`).
 */
import packageJson from "../package.json" with { type: "json" };

declare const COUCHESTOR_COMMIT: string | undefined;

/** Release version, as in package.json. Agents and brains of different versions refuse each other. */
export const version: string = packageJson.version;

/** The commit the binary was built from, or `source` when it runs from a checkout. */
export const commit: string = typeof COUCHESTOR_COMMIT === "string" ? COUCHESTOR_COMMIT : "source";

/** Whether this is the compiled binary. */
export const compiled: boolean = commit !== "source";
