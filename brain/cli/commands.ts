/** Every verb, in the order of the help. */
import type { Command } from "./command.ts";
import { deviceBlink } from "./device/blink.ts";
import { deviceClaim } from "./device/claim.ts";
import { deviceDescribe } from "./device/describe.ts";
import { deviceHealth } from "./device/health.ts";
import { deviceList } from "./device/list.ts";
import { deviceRelease } from "./device/release.ts";
import { nodeList } from "./inventory/node-list.ts";
import { poolList } from "./inventory/pool-list.ts";
import { repairPause, repairResume, repairStatus } from "./maintain/repair.ts";
import { scrub } from "./maintain/scrub.ts";
import { migrationAbort } from "./migration/abort.ts";
import { migrationDescribe } from "./migration/describe.ts";
import { migrationList } from "./migration/list.ts";
import { plan } from "./plan/plan.ts";
import { stripeDescribe } from "./stripe/describe.ts";
import { stripeList } from "./stripe/list.ts";
import { certInit } from "./tools/cert.ts";
import { completion } from "./tools/completion.ts";
import { demo } from "./tools/demo.ts";
import { help } from "./tools/help.ts";
import { standalone } from "./tools/standalone.ts";
import { versionCommand } from "./tools/version.ts";
import { volumeCreate } from "./volume/create.ts";
import { volumeDelete } from "./volume/delete.ts";
import { volumeDescribe } from "./volume/describe.ts";
import { volumeExport } from "./volume/export.ts";
import { volumeImport } from "./volume/import.ts";
import { volumeList } from "./volume/list.ts";
import { volumeRecover } from "./volume/recover.ts";

export const commands: readonly Command[] = [
  demo,
  standalone,
  volumeCreate,
  volumeImport,
  volumeExport,
  volumeList,
  volumeDescribe,
  volumeDelete,
  volumeRecover,
  nodeList,
  poolList,
  deviceList,
  deviceDescribe,
  deviceHealth,
  deviceClaim,
  deviceRelease,
  deviceBlink,
  stripeList,
  stripeDescribe,
  plan,
  migrationList,
  migrationDescribe,
  migrationAbort,
  scrub,
  repairStatus,
  repairPause,
  repairResume,
  certInit,
  completion,
  versionCommand,
  help,
];
