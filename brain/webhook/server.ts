/**
 * The webhook as a part of a brain, leader or not. With certificates of its own it tells the API server of the new authority first, gives it
 * a moment to hear of it, and only then serves by it; the old one stays in the bundle until it expires. With files (cert-manager's) it takes
 * what is in them whenever they change. New connections get the new certificate at once; those there are go on until their callers leave.
 */
import { startDrainingListener } from "@couchestor/common/http/draining-listener.ts";
import type { Listener } from "@couchestor/common/http/listener.ts";
import type { ListenAddress } from "@couchestor/common/http/listener-options.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { TlsFiles, TlsMaterial } from "@couchestor/common/tls/material.ts";
import { loadTlsMaterial, tlsFilesStamp } from "@couchestor/common/tls/material.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Part } from "../runtime/manager.ts";
import type { AdmissionFacts } from "./admit.ts";
import { type ReviewOutcome, reviewBytesMax, webhookApp } from "./app.ts";
import { makeWebhookCertificate, type WebhookCertificate } from "./certificate.ts";
import { register } from "./registration.ts";

export type CertificateSource =
  /** Made here; `configuration` is the name of the ValidatingWebhookConfiguration whose bundle is kept. */
  | { from: "self"; client: KubeClient; configuration: string; hosts: readonly string[]; validMs?: number }
  | { from: "files"; files: TlsFiles };

export interface WebhookDeps {
  clock: Clock;
  prng: Prng;
  logger: Logger;
  facts: AdmissionFacts;
  onReview?: (outcome: ReviewOutcome) => void;
}

export interface WebhookOptions {
  address: ListenAddress;
  certificates: CertificateSource;
  /** How often certificates and registration are looked after. */
  everyMs?: number;
  /** How long the API server may take to hear of a new authority. */
  settleMs?: number;
}

const dayMs = 86_400_000;
export const validMsDefault = 30 * dayMs;
const everyMsDefault = 60_000;
const settleMsDefault = 5_000;
const stopMsMax = 3_000;

export class WebhookServer implements Part {
  readonly name = "webhook";
  readonly #deps: WebhookDeps;
  readonly #options: WebhookOptions;
  readonly #stop = new AbortController();
  #listener: Listener | undefined;
  #own: WebhookCertificate | undefined;
  #stamp = "";
  #looking: Promise<void> | undefined;

  constructor(deps: WebhookDeps, options: WebhookOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Undefined before the start. */
  get url(): string | undefined {
    return this.#listener?.url;
  }

  /** Listens, then looks after certificates until it is stopped. Throws when it can't listen or the files can't be read. */
  async start(): Promise<void> {
    const { clock, facts, onReview, logger } = this.#deps;
    const onError = (err: unknown) => logger.warn({ err }, "an admission review failed");
    const app = webhookApp({ facts, clock, onError, ...(onReview === undefined ? {} : { onReview }) });
    this.#listener = await startDrainingListener({
      name: "webhook",
      address: this.#options.address,
      tls: await this.#firstMaterial(),
      tlsFlags: "--webhook-cert-dir",
      anyClient: true,
      bodyBytesMax: reviewBytesMax,
      clock,
      handle: (request) => app.fetch(request),
      onError,
    });
    this.#looking = this.#lookAfter();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#looking;
    await this.#listener?.stop(stopMsMax);
  }

  async #firstMaterial(): Promise<TlsMaterial> {
    const { certificates } = this.#options;
    if (certificates.from === "files") {
      this.#stamp = await tlsFilesStamp(certificates.files);
      return await loadTlsMaterial(certificates.files);
    }
    this.#own = await this.#make(certificates);
    return materialOf(this.#own);
  }

  async #lookAfter(): Promise<void> {
    const { clock, logger } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#options.certificates.from === "files") await this.#reload(this.#options.certificates.files);
        else await this.#keepOwn(this.#options.certificates);
      } catch (err) {
        if (signal.aborted) return;
        logger.warn({ err }, "the webhook's certificates can't be looked after now; trying again");
      }
      await clock.sleep(this.#options.everyMs ?? everyMsDefault, signal).catch(() => undefined);
    }
  }

  async #reload(files: TlsFiles): Promise<void> {
    const stamp = await tlsFilesStamp(files);
    if (stamp === this.#stamp) return;
    this.#listener?.replaceTls(await loadTlsMaterial(files));
    this.#stamp = stamp;
    this.#deps.logger.info({}, "the webhook serves by new certificates");
  }

  async #keepOwn(source: Extract<CertificateSource, { from: "self" }>): Promise<void> {
    const { clock, logger } = this.#deps;
    const own = this.#own;
    if (own === undefined) return;
    const validMs = source.validMs ?? validMsDefault;
    // Renewed with a third of its time left.
    if (own.notAfterMs - clock.wallMs() > validMs / 3) return await this.#register(source, own);
    const next = await this.#make(source);
    await this.#register(source, next);
    await clock.sleep(this.#options.settleMs ?? settleMsDefault, this.#stop.signal);
    this.#listener?.replaceTls(materialOf(next));
    this.#own = next;
    logger.info({ notAfter: new Date(next.notAfterMs).toISOString() }, "the webhook serves by a new certificate");
  }

  async #register(source: Extract<CertificateSource, { from: "self" }>, own: WebhookCertificate): Promise<void> {
    const { clock, logger } = this.#deps;
    const outcome = await register(source.client, source.configuration, own.ca, () => clock.wallMs());
    if (outcome === "changed")
      logger.info({ configuration: source.configuration }, "the API server was told whom to trust");
    if (outcome === "absent") {
      logger.warn(
        { configuration: source.configuration },
        "there is no such webhook configuration: nothing is admitted through here",
      );
    }
    if (outcome === "injected") {
      logger.warn(
        { configuration: source.configuration },
        "cert-manager keeps this configuration: give its files with --webhook-cert-dir",
      );
    }
  }

  #make({
    hosts,
    validMs = validMsDefault,
  }: Extract<CertificateSource, { from: "self" }>): Promise<WebhookCertificate> {
    const { clock, prng } = this.#deps;
    return makeWebhookCertificate({ hosts, validMs, clock, prng });
  }
}

function materialOf({ cert, key }: WebhookCertificate): TlsMaterial {
  return { cert, key, ca: [] };
}
