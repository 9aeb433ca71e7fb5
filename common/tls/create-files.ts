/**
 * Makes the certificate authorities of the three roles and one certificate for each: what `couchestor cert init` does.
 *
 *   agent-ca, brain-ca, admin-ca   (.crt, .key)   keep the keys off the storage nodes
 *   agent, brain                   (.crt, .key)   server and client certificates for the hosts given
 *   admin                          (.crt, .key)   a client certificate for the command line
 */
import { access, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import type * as X509 from "@peculiar/x509";
import { AppError } from "../errors/app-error.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { type Prng, systemPrng } from "../runtime/prng.ts";
import { loadX509 } from "./x509.ts";

export const tlsRoles = ["agent", "brain", "admin"] as const;
export type TlsRole = (typeof tlsRoles)[number];

export interface CreateTlsFilesOptions {
  /** The folder; it is made if missing. */
  dir: string;
  /** Names and addresses that agents and the brain are reached by. `localhost`, 127.0.0.1 and ::1 are always added. */
  hosts: readonly string[];
  /** Keep the CAs that are there and make new certificates only. */
  renew?: boolean;
  /** Days that certificates are valid; CAs live ten times as long. Default 397. */
  validDays?: number;
  clock?: Clock;
  prng?: Prng;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;
const hostsMax = 256;

interface Issuer {
  certificate: X509.X509Certificate;
  keys: CryptoKeyPair;
}

/**
 * Writes the files and returns their paths. Throws `AlreadyExists` when a file is there (with `renew`: when a CA is), naming it;
 * `InvalidArgument` for hosts that are neither names nor addresses.
 */
export async function createTlsFiles(options: CreateTlsFilesOptions): Promise<string[]> {
  const { dir, renew = false } = options;
  const hosts = checkHosts(options.hosts);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  if (!renew) await refuseExisting(dir);
  const written: string[] = [];
  for (const role of tlsRoles) {
    const issuer = renew ? await readIssuer(dir, role) : await makeIssuer(options, role);
    if (!renew) written.push(...(await writePair(dir, `${role}-ca`, issuer.certificate, issuer.keys)));
    const keys = await makeKeys();
    const certificate = await makeLeaf(options, role, role === "admin" ? [] : hosts, issuer, keys);
    written.push(...(await writePair(dir, role, certificate, keys)));
  }
  return written;
}

function checkHosts(given: readonly string[]): string[] {
  const hosts = [...new Set(["localhost", "127.0.0.1", "::1", ...given])];
  if (hosts.length > hostsMax) {
    throw new AppError("InvalidArgument", `hosts: got ${hosts.length}, at most ${hostsMax} fit one certificate`);
  }
  for (const host of hosts) {
    if (isIP(host) !== 0 || /^(\*\.)?[a-zA-Z0-9]([-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?$/.test(host)) continue;
    throw new AppError("InvalidArgument", `hosts: got "${host}", allowed is a DNS name or an IP address`, {
      data: { field: "hosts", came: host },
    });
  }
  return hosts;
}

async function refuseExisting(dir: string): Promise<void> {
  for (const name of tlsRoles.flatMap((role) => [`${role}-ca`, role])) {
    for (const path of [join(dir, `${name}.crt`), join(dir, `${name}.key`)]) {
      const there = await access(path).then(
        () => true,
        () => false,
      );
      if (there) {
        throw new AppError(
          "AlreadyExists",
          `${path} exists and is not overwritten: give another folder, or --renew to keep the CAs and make new certificates`,
          { data: { file: path } },
        );
      }
    }
  }
}

async function makeKeys(): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

function validity(options: CreateTlsFilesOptions, factor: number): { notBefore: Date; notAfter: Date } {
  const nowMs = (options.clock ?? systemClock).wallMs();
  const days = (options.validDays ?? 397) * factor;
  // An hour back, for machines whose clocks are a little behind.
  return { notBefore: new Date(nowMs - 3_600_000), notAfter: new Date(nowMs + days * dayMs) };
}

/** 16 random bytes, positive, as RFC 5280 wants them. */
function serial(options: CreateTlsFilesOptions): string {
  const bytes = (options.prng ?? systemPrng).bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

async function makeIssuer(options: CreateTlsFilesOptions, role: TlsRole): Promise<Issuer> {
  const x509 = await loadX509();
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(options),
    name: `CN=couchestor ${role} CA`,
    ...validity(options, 10),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, keys };
}

async function makeLeaf(
  options: CreateTlsFilesOptions,
  role: TlsRole,
  hosts: readonly string[],
  issuer: Issuer,
  keys: CryptoKeyPair,
): Promise<X509.X509Certificate> {
  const x509 = await loadX509();
  const usages =
    role === "admin"
      ? [x509.ExtendedKeyUsage.clientAuth]
      : [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth];
  const names = hosts.map((host) => ({ type: isIP(host) === 0 ? ("dns" as const) : ("ip" as const), value: host }));
  return await x509.X509CertificateGenerator.create({
    serialNumber: serial(options),
    subject: `CN=couchestor ${role}`,
    issuer: issuer.certificate.subject,
    ...validity(options, 1),
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
}

async function readIssuer(dir: string, role: TlsRole): Promise<Issuer> {
  const certFile = join(dir, `${role}-ca.crt`);
  const keyFile = join(dir, `${role}-ca.key`);
  const x509 = await loadX509();
  try {
    const certificate = new x509.X509Certificate(await readFile(certFile, "utf8"));
    const der = x509.PemConverter.decodeFirst(await readFile(keyFile, "utf8"));
    const privateKey = await crypto.subtle.importKey("pkcs8", der, algorithm, true, ["sign"]);
    return { certificate, keys: { privateKey, publicKey: await certificate.publicKey.export(algorithm, ["verify"]) } };
  } catch (error) {
    throw new AppError(
      "InvalidArgument",
      `${certFile} and ${keyFile} can't be used to renew: ${error instanceof Error ? error.message : error}; without --renew new CAs are made`,
      { data: { file: certFile }, cause: error },
    );
  }
}

async function writePair(
  dir: string,
  name: string,
  certificate: X509.X509Certificate,
  keys: CryptoKeyPair,
): Promise<string[]> {
  const { PemConverter } = await loadX509();
  const key = PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  const keyFile = join(dir, `${name}.key`);
  const certFile = join(dir, `${name}.crt`);
  await writeWhole(keyFile, `${key}\n`, 0o600);
  await writeWhole(certFile, `${certificate.toString("pem")}\n`, 0o644);
  return [certFile, keyFile];
}

/** Replaces a file at once, so that a process that reloads certificates never sees half of one. */
async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.tmp`;
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
