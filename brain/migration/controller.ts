/** Looks at Migrations whenever one changes, and at those at work again and again. */
import type { Migration } from "@couchestor/common/crd/migration.ts";
import { Controller, type ControllerDeps, type ControllerOptions, type Source } from "../runtime/controller.ts";
import type { Migrations } from "./migrations.ts";

/** What is needed of a cached Migration. */
export interface KeptForMigrations {
  metadata: { name: string };
}

const workersDefault = 4;

/** The controller over the cached Migrations. `options.mayAct` is the leadership's check. */
export function migrationController<Kept extends KeptForMigrations = Migration>(
  deps: ControllerDeps,
  migrations: Migrations,
  source: Source<Kept>,
  options: Partial<ControllerOptions> = {},
): Controller {
  const controller = new Controller(deps, {
    name: "migration",
    workers: workersDefault,
    ...options,
    // A failure of the store must not keep cordons for longer than it lasts.
    queue: { backoffMs: 500, backoffMsMax: 10_000, ...options.queue },
    reconcile: (name, { signal }) => migrations.reconcile(name, signal),
  });
  migrations.onWake = (name) => controller.enqueue(name);
  return controller.watch(source, ({ metadata }) => [metadata.name]);
}
