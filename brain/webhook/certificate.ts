/**
 * A certificate authority and a serving certificate made by this process for itself. The authority signs one certificate and its key is
 * forgotten; both live in memory only, so that there is no secret to store, share or leak.
 */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { loadX509 } from "@couchestor/common/tls/x509.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** For machines whose clocks are a little behind. */
const backdatedMs = 3_600_000;

export interface WebhookCertificate {
  ca: string;
  cert: string;
  key: string;
  notAfterMs: number;
}

export interface CertificateOptions {
  /** Names and addresses that the API server calls. */
  hosts: readonly string[];
  validMs: number;
  clock: Clock;
  prng: Prng;
}

/** Makes both, valid from now for `validMs`. */
export async function makeWebhookCertificate({
  hosts,
  validMs,
  clock,
  prng,
}: CertificateOptions): Promise<WebhookCertificate> {
  const x509 = await loadX509();
  const nowMs = clock.wallMs();
  const validity = { notBefore: new Date(nowMs - backdatedMs), notAfter: new Date(nowMs + validMs) };
  const [caKeys, keys] = await Promise.all([newKeys(), newKeys()]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(prng),
    name: `CN=couchestor webhook CA ${serial(prng).slice(0, 8)}`,
    ...validity,
    keys: caKeys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const names = hosts.map((host) => ({ type: isIP(host) === 0 ? ("dns" as const) : ("ip" as const), value: host }));
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serial(prng),
    subject: "CN=couchestor webhook",
    issuer: ca.subject,
    ...validity,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return {
    ca: `${ca.toString("pem")}\n`,
    cert: `${leaf.toString("pem")}\n`,
    key: `${key}\n`,
    notAfterMs: nowMs + validMs,
  };
}

/** A certificate of a bundle, and when it was and will be valid. */
export interface BundledCertificate {
  pem: string;
  notBeforeMs: number;
  notAfterMs: number;
}

/** The certificates of a PEM bundle; what can't be read is left out. */
export function readBundle(pem: string): BundledCertificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      const { validFrom, validTo } = new X509Certificate(block);
      return [{ pem: `${block}\n`, notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) }];
    } catch {
      return [];
    }
  });
}

async function newKeys(): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

/** 16 random bytes, positive, as RFC 5280 wants them. */
function serial(prng: Prng): string {
  return `4${Buffer.from(prng.bytes(16)).toString("hex").slice(1)}`;
}
