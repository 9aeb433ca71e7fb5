/** `/v1/migrations`, for the admin API. */
import {
  abortRequestSchema,
  type MigrationAnswer,
  type MigrationRow,
  type MigrationsAnswer,
  type MigrationsQuery,
  migrationAnswerSchema,
  migrationsAnswerSchema,
  migrationsQuerySchema,
} from "@couchestor/common/api/migrations.ts";
import { type Migration, migrationKind } from "@couchestor/common/crd/migration.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Route, route } from "../http/route-table.ts";
import type { ResourceStore } from "../store/ports.ts";

export interface MigrationRoutesDeps {
  store: Pick<ResourceStore, "get" | "pages" | "update">;
  /** A person has had one called off. */
  aborted(migration: string, volume: string): void;
}

const abortAttemptsMax = 10;
const listAttemptsMax = 5;
const unreadableMax = 16;

export function migrationRoutes(deps: MigrationRoutesDeps): Route[] {
  return [
    route({
      method: "get",
      path: "/v1/migrations",
      summary: "Migrations, those under way first",
      query: migrationsQuerySchema,
      answer: migrationsAnswerSchema,
      run: ({ query }) => listMigrations(deps, query),
    }),
    route({
      method: "get",
      path: "/v1/migrations/{name}",
      summary: "One Migration with its steps",
      answer: migrationAnswerSchema,
      run: async ({ params }) => answerOf(await migrationNamed(deps, params["name"] ?? "")),
    }),
    route({
      method: "post",
      path: "/v1/migrations/{name}/abort",
      summary: "Call a Migration off: what it has set is taken back, and the volume keeps at least the copies it had",
      body: abortRequestSchema,
      answer: migrationAnswerSchema,
      run: ({ params, body }) => abort(deps, params["name"] ?? "", body.dryRun),
    }),
  ];
}

async function listMigrations(
  { store }: MigrationRoutesDeps,
  { policy, volume, active, limit }: MigrationsQuery,
): Promise<MigrationsAnswer> {
  const { rows, unreadable } = await rowsOf(store, ({ spec, status }) => {
    if (policy !== undefined && spec.policyRef !== policy) return false;
    if (volume !== undefined && spec.volumeName !== volume && spec.volumeUuid !== volume) return false;
    return active !== "true" || status?.phase !== "Finished";
  });
  const rank = ({ phase }: MigrationRow): number => (phase === "Finished" ? 2 : phase === "Pending" ? 1 : 0);
  const when = ({ endedAt, createdAt }: MigrationRow): string => endedAt ?? createdAt ?? "";
  rows.sort((a, b) => rank(a) - rank(b) || (when(a) < when(b) ? 1 : when(a) > when(b) ? -1 : a.name < b.name ? -1 : 1));
  return {
    migrations: rows.slice(0, limit),
    total: rows.length,
    ...(unreadable.length === 0 ? {} : { unreadable }),
  };
}

/** One that can't be read keeps nobody from seeing the others. */
async function rowsOf(
  store: MigrationRoutesDeps["store"],
  isWanted: (migration: Migration) => boolean,
): Promise<{ rows: MigrationRow[]; unreadable: string[] }> {
  for (let attempt = 1; ; attempt++) {
    const rows: MigrationRow[] = [];
    const unreadable: string[] = [];
    const tell = (_: string, { message }: AppError) => {
      if (unreadable.length < unreadableMax) unreadable.push(message);
    };
    try {
      for await (const { items } of store.pages(migrationKind, { unreadable: tell }))
        for (const object of items as Migration[]) if (isWanted(object)) rows.push(rowOf(object));
      return { rows, unreadable };
    } catch (error) {
      if (!isAppError(error, "Conflict") || attempt === listAttemptsMax) throw error;
    }
  }
}

async function migrationNamed({ store }: MigrationRoutesDeps, name: string): Promise<Migration> {
  const found = (await store.get(migrationKind, name)) as Migration | undefined;
  if (found === undefined)
    throw new AppError("NotFound", `there is no Migration ${name}: couchestor migration list shows which there are`);
  return found;
}

/** Sets `spec.abort`, however often others write the object meanwhile. */
async function abort(deps: MigrationRoutesDeps, name: string, dryRun: boolean): Promise<MigrationAnswer> {
  for (let attempt = 1; ; attempt++) {
    const found = await migrationNamed(deps, name);
    if (found.status?.phase === "Finished") {
      const { result = "Unknown", reason = "" } = found.status.outcome ?? {};
      throw new AppError("FailedPrecondition", `Migration ${name} has ended already: ${result}, ${reason}`);
    }
    if (dryRun || found.spec.abort) return answerOf(found);
    try {
      const written = await deps.store.update(migrationKind, { ...found, spec: { ...found.spec, abort: true } });
      deps.aborted(name, found.spec.volumeName);
      return answerOf(written as Migration);
    } catch (error) {
      if (!isAppError(error, "Conflict") || attempt === abortAttemptsMax) throw error;
    }
  }
}

function answerOf(object: Migration): MigrationAnswer {
  const { metadata, spec, status } = object;
  return { row: rowOf(object), metadata, spec, ...(status === undefined ? {} : { status }) };
}

/** What the list shows of one. */
export function rowOf({ metadata, spec, status }: Migration): MigrationRow {
  const given = {
    policy: spec.policyRef,
    result: status?.outcome?.result,
    reason: status?.outcome?.reason,
    progressPercent: status?.progressPercent,
    bytesTotal: status?.bytesTotal,
    bytesDone: status?.bytesDone,
    createdAt: metadata.creationTimestamp,
    startedAt: status?.startTime,
    endedAt: status?.endTime,
    estimatedEndAt: status?.estimatedEndTime,
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return {
    name: metadata.name,
    volume: spec.volumeName,
    fromTier: spec.fromTier,
    toTier: spec.toTier,
    phase: status?.phase ?? "Pending",
    message: status?.outcome?.message ?? status?.message ?? spec.reason,
    ...known,
  };
}
