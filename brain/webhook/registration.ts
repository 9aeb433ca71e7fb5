/**
 * Tells the API server whose certificates to trust: `caBundle` of our ValidatingWebhookConfiguration. Several brains answer behind one
 * service, each with an authority of its own, so the bundle has all of theirs: each adds its own, puts it back when it is gone, and drops
 * what has expired. The rest of the configuration belongs to whoever installed it.
 */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { KubeClient } from "../kube/client.ts";
import type { KubeObject, ObjectType } from "../kube/objects.ts";
import { readBundle } from "./certificate.ts";

export const webhookConfigurationType: ObjectType = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  kind: "ValidatingWebhookConfiguration",
  plural: "validatingwebhookconfigurations",
  namespaced: false,
};

/** The bundle of a few brains and those before them; a brain that restarts again and again must not let it grow. */
export const bundledMax = 16;
const attemptsMax = 8;
/** cert-manager keeps the bundle itself. */
const injected = "cert-manager.io/inject-ca-from";

interface Webhook {
  name: string;
  clientConfig: { caBundle?: string; [field: string]: unknown };
  [field: string]: unknown;
}

interface WebhookConfiguration extends KubeObject {
  webhooks?: Webhook[];
}

/** The bundle with `ca` in it: the newest certificates that are still valid, `ca` among them. Unchanged text if nothing is to be done. */
export function bundleWith(bundle: string, ca: string, nowMs: number): string {
  const own = ca.trim();
  const others = readBundle(bundle).filter(({ pem, notAfterMs }) => pem.trim() !== own && notAfterMs > nowMs);
  const newest = others
    .sort((a, b) => b.notBeforeMs - a.notBeforeMs || (a.pem < b.pem ? -1 : 1))
    .slice(0, bundledMax - 1);
  const wanted = new Set([own, ...newest.map(({ pem }) => pem.trim())]);
  const present = bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (present.length === wanted.size && present.every((pem) => wanted.has(pem.trim()))) return bundle;
  return `${[...wanted].join("\n")}\n`;
}

export type RegistrationOutcome = "unchanged" | "changed" | "absent" | "injected";

/** Brings the bundle in line. `absent`: there is no such configuration. `injected`: somebody else keeps its bundle. Throws after many conflicts. */
export async function register(
  client: KubeClient,
  name: string,
  ca: string,
  wallMs: () => number,
): Promise<RegistrationOutcome> {
  for (let attempt = 1; ; attempt++) {
    const found = await client.get<WebhookConfiguration>(webhookConfigurationType, { name });
    if (found === undefined) return "absent";
    if (found.metadata.annotations?.[injected] !== undefined) return "injected";
    let changed = false;
    const webhooks = (found.webhooks ?? []).map((webhook) => {
      const before = Buffer.from(webhook.clientConfig.caBundle ?? "", "base64").toString();
      const after = bundleWith(before, ca, wallMs());
      if (after === before) return webhook;
      changed = true;
      return { ...webhook, clientConfig: { ...webhook.clientConfig, caBundle: Buffer.from(after).toString("base64") } };
    });
    if (!changed) return "unchanged";
    try {
      await client.replace(webhookConfigurationType, { ...found, webhooks });
      return "changed";
    } catch (error) {
      if (!isAppError(error, "Conflict")) throw error;
      if (attempt === attemptsMax) {
        throw new AppError(
          "Unavailable",
          `ValidatingWebhookConfiguration ${name} changed ${attemptsMax} times while it was written`,
          { cause: error },
        );
      }
    }
  }
}
