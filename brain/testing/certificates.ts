/** Certificates for tests: an authority, and what it signs. */
import { isIP } from "node:net";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { loadX509 } from "@couchestor/common/tls/x509.ts";
import type * as X509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface PemPair {
  cert: string;
  key: string;
}

export interface TestAuthority {
  readonly cert: string;
  /** A server certificate for these names and addresses. */
  server(hosts: readonly string[]): Promise<PemPair>;
  /** A client certificate; Kubernetes takes CN as the user and O as its groups. */
  client(user: string, groups?: readonly string[]): Promise<PemPair>;
}

/** A certificate authority with a new key, valid for a day. */
export async function testAuthority(name = "test CA"): Promise<TestAuthority> {
  const x509 = await loadX509();
  const keys = await newKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...frame(),
    name: `CN=${name}`,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const issue = async (subject: string, usage: X509.ExtendedKeyUsage, hosts: readonly string[]): Promise<PemPair> => {
    const own = await newKeys();
    const names = hosts.map((host) => ({ type: isIP(host) === 0 ? ("dns" as const) : ("ip" as const), value: host }));
    const certificate = await x509.X509CertificateGenerator.create({
      ...frame(),
      subject,
      issuer: ca.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return { cert: pem(certificate), key: await keyPem(own.privateKey) };
  };
  return {
    cert: pem(ca),
    server: (hosts) => issue("CN=server", x509.ExtendedKeyUsage.serverAuth, hosts),
    client: (user, groups = []) =>
      issue([`CN=${user}`, ...groups.map((group) => `O=${group}`)].join(", "), x509.ExtendedKeyUsage.clientAuth, []),
  };
}

/** A pair of keys for service account tokens. */
export async function signingKeys(): Promise<{ privateKey: string; publicKey: string }> {
  const keys = await newKeys();
  const spki = await crypto.subtle.exportKey("spki", keys.publicKey);
  return {
    privateKey: await keyPem(keys.privateKey),
    publicKey: `${(await loadX509()).PemConverter.encode(spki, "PUBLIC KEY")}\n`,
  };
}

function frame() {
  const nowMs = systemClock.wallMs();
  return {
    serialNumber: Buffer.from([0x40, ...systemPrng.bytes(15)]).toString("hex"),
    notBefore: new Date(nowMs - 3_600_000),
    notAfter: new Date(nowMs + 86_400_000),
    signingAlgorithm: algorithm,
  };
}

async function newKeys(): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

function pem(certificate: X509.X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

async function keyPem(key: CryptoKey): Promise<string> {
  const { PemConverter } = await loadX509();
  return `${PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}
