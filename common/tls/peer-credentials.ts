/**
 * How this process shows who it is to a peer that isn't ours, and knows that peer: a bearer token, a CA, a client certificate. All from
 * files, which are looked at now and then: tokens and certificates rotate. What is in them goes into no message and no log.
 */
import { readFile, stat } from "node:fs/promises";
import { AppError } from "../errors/app-error.ts";
import { filesStamp, readPem, type TlsMaterial } from "./material.ts";

export interface PeerFiles {
  tokenFile?: string | undefined;
  /** CAs to trust instead of the system's. */
  caFile?: string | undefined;
  /** A client certificate and its key: both or none. */
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

/** What `fetch` takes; without a CA the system's are trusted. */
export type PeerTls = Partial<TlsMaterial>;

/** No token is longer; servers refuse headers of half of it. */
export const tokenBytesMax = 65_536;

export class PeerCredentials {
  readonly #peer: string;
  readonly #files: PeerFiles;
  #stamp: string | undefined;
  #token: string | undefined;
  #tls: PeerTls | undefined;

  /** `peer` is for messages: `Prometheus`. */
  constructor(peer: string, files: PeerFiles) {
    this.#peer = peer;
    this.#files = files;
  }

  /** Headers for the next request. */
  headers(): Record<string, string> {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
  }

  /** For the next connection; undefined: nothing out of the ordinary. */
  tls(): PeerTls | undefined {
    return this.#tls;
  }

  /**
   * Reads the files if they changed, and says whether they did. Throws `InvalidArgument` that names the file and what is wrong with it; what was
   * read before stays in use.
   */
  async look(): Promise<boolean> {
    const { tokenFile, caFile, certFile, keyFile } = this.#files;
    const paths = [tokenFile, caFile, certFile, keyFile].filter((path) => path !== undefined);
    if (paths.length === 0) return false;
    const stamp = await filesStamp(paths);
    if (stamp === this.#stamp) return false;
    const fix = `give the path of a file that the brain may read, for ${this.#peer}`;
    const pem = async (file: string | undefined, what: string, label: string) =>
      file === undefined ? undefined : await readPem(file, what, label, fix);
    const [token, ca, cert, key] = await Promise.all([
      tokenFile === undefined ? undefined : readToken(tokenFile, this.#peer),
      pem(caFile, `CA certificate for ${this.#peer}`, "CERTIFICATE"),
      pem(certFile, `client certificate for ${this.#peer}`, "CERTIFICATE"),
      pem(keyFile, `private key for ${this.#peer}`, "PRIVATE KEY"),
    ]);
    this.#token = token;
    const tls: PeerTls = {
      ...(ca === undefined ? {} : { ca: [ca] }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    };
    this.#tls = Object.keys(tls).length === 0 ? undefined : tls;
    this.#stamp = stamp;
    return true;
  }
}

/** A bearer token as RFC 6750 has it, whatever blanks stand around it. */
async function readToken(file: string, peer: string): Promise<string> {
  const refuse = (why: string, cause?: unknown) =>
    new AppError(
      "InvalidArgument",
      `the token for ${peer} in ${file} ${why}; allowed is one bearer token of at most ${tokenBytesMax} bytes`,
      { data: { file }, ...(cause === undefined ? {} : { cause }) },
    );
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw refuse(`can't be read (${error.code})`, error);
  });
  if (!found.isFile() || found.size > tokenBytesMax) throw refuse("is no file of that size");
  const text = await readFile(file, "latin1").catch((error: NodeJS.ErrnoException) => {
    throw refuse(`can't be read (${error.code})`, error);
  });
  const token = text.trim();
  if (token === "") throw refuse("is empty");
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(token)) throw refuse("has characters that no token has");
  return token;
}
