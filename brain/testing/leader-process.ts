/**
 * A process that competes for a lease and, while it leads, writes a line every few milliseconds: `effect NAME TERM NANOSECONDS`. The time is
 * the machine's monotonic one, which all processes share. Started by tests with its settings as JSON in its first argument.
 */
import { appendFileSync } from "node:fs";
import { createLogger } from "@couchestor/common/observe/logger.ts";
import { type Clock, systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { onStopSignal } from "@couchestor/common/runtime/shutdown.ts";
import { KubeClient } from "../kube/client.ts";
import { findCluster } from "../kube/credentials.ts";
import { KubeTransport } from "../kube/transport.ts";
import { kubeLeaseStore } from "../runtime/kube-lease.ts";
import { LeaderElection } from "../runtime/leader-election.ts";
import type { LeaseTimes } from "../runtime/lease.ts";
import { Manager } from "../runtime/manager.ts";

export interface LeaderProcessSettings {
  name: string;
  kubeconfig: string;
  lease: string;
  times: LeaseTimes;
  log: string;
  wallOffMs: number;
}

const settings = JSON.parse(process.argv[2] ?? "{}") as LeaderProcessSettings;
const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + settings.wallOffMs };
const logger = createLogger({ clock, component: settings.name, level: "info", format: "text" });
const access = await findCluster({ clock, kubeconfig: settings.kubeconfig });
const client = new KubeClient(new KubeTransport({ access, clock, prng: systemPrng }));
const store = kubeLeaseStore(client, { namespace: "default", name: settings.lease });
const election = new LeaderElection(
  { store, clock, prng: systemPrng, logger },
  { name: settings.name, times: settings.times, absentMeansNew: true },
);

const stop = new AbortController();
onStopSignal(() => stop.abort());

const manager = new Manager(
  { clock, logger, election },
  {
    always: [],
    whileLeader: (leadership) => {
      let acting = true;
      const act = () => {
        if (!acting || !leadership.isLeader()) return;
        leadership.assertLeader();
        appendFileSync(settings.log, `effect ${settings.name} ${leadership.term} ${process.hrtime.bigint()}\n`);
        clock.after(5, act);
      };
      return [
        {
          name: "effects",
          start: act,
          stop: () => {
            acting = false;
          },
        },
      ];
    },
  },
);
// The timers above don't keep a process alive.
const keepAlive = new AbortController();
void clock.sleep(600_000, keepAlive.signal).catch(() => undefined);
await manager.run(stop.signal);
keepAlive.abort();
