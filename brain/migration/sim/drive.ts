/** The mover that is held to account: as it ships, or with one of its judgements replaced. */
import { Migrations } from "../migrations.ts";
import type { MigrationDeps } from "../ports.ts";
import { soundRules } from "../rules.ts";
import type { MigrationSettings } from "../settings.ts";
import type { Mutation } from "./mutations.ts";
import type { Driver, MakeDriver } from "./sim-brain.ts";

/** As it ships. */
export function drive(deps: MigrationDeps, settings: MigrationSettings): Driver {
  return new Migrations(deps, settings);
}

/** With something wrong. */
export function driveWrongly(mutation: Mutation): MakeDriver {
  return (deps, settings) =>
    new Migrations(mutation.deps?.(deps) ?? deps, settings, { ...soundRules, ...mutation.rules });
}
