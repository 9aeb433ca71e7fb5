/** The mover that is held to account: as it ships, or with one of its judgements replaced. */
import { Migrations } from "../migrations.ts";
import type { MigrationDeps } from "../ports.ts";
import { soundRules } from "../rules.ts";
import { migrationSettings } from "../settings.ts";
import type { Mutation } from "./mutations.ts";
import type { Driver } from "./sim-brain.ts";

/** As it ships. */
export function drive(deps: MigrationDeps): Driver {
  return new Migrations(deps);
}

/** With something wrong. */
export function driveWrongly(mutation: Mutation): (deps: MigrationDeps) => Driver {
  return (deps) =>
    new Migrations(mutation.deps?.(deps) ?? deps, migrationSettings, { ...soundRules, ...mutation.rules });
}
