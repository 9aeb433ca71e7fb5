/** Certificates and keys from files. A CA per role: Bun doesn't show a handler the peer's certificate, so a listener's CAs decide who may call it. */
import { readFile, stat } from "node:fs/promises";
import { AppError } from "../errors/app-error.ts";

/** Where one process's own certificate and the CAs it trusts are. */
export interface TlsFiles {
  certFile: string;
  keyFile: string;
  /** Roles that may call a listener, or peers that a client trusts. At least one. */
  caFiles: readonly string[];
}

/** PEM texts, ready for `Bun.serve` and `fetch`. */
export interface TlsMaterial {
  cert: string;
  key: string;
  ca: string[];
}

/** No certificate chain or key is larger. */
const pemBytesMax = 1024 * 1024;

/** Reads and checks the files. Throws `InvalidArgument` naming the file, what is wrong with it, and what to do. */
export async function loadTlsMaterial(files: TlsFiles): Promise<TlsMaterial> {
  if (files.caFiles.length === 0) {
    throw new AppError("InvalidArgument", "TLS: no CA file is given, so nobody could be trusted; name at least one");
  }
  // One after the other: of several that are wrong, the same one is told of each time.
  const cert = await readPem(files.certFile, "certificate", "CERTIFICATE");
  const key = await readPem(files.keyFile, "private key", "PRIVATE KEY");
  const ca: string[] = [];
  for (const file of files.caFiles) ca.push(await readPem(file, "CA certificate", "CERTIFICATE"));
  return { cert, key, ca };
}

const ownFix = "make the files with `couchestor cert init --dir DIR`, or give the path of an existing one";

/** The text of a file with a PEM block `label`. Throws `InvalidArgument` naming the file, what is wrong with it and `fix`; never what is in it. */
export async function readPem(file: string, what: string, label: string, fix = ownFix): Promise<string> {
  const size = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw invalid(file, `the ${what} ${file} can't be read (${error.code}); ${fix}`, error);
  });
  if (!size.isFile() || size.size > pemBytesMax) {
    throw invalid(file, `the ${what} ${file} is not a file of at most ${pemBytesMax} bytes; ${fix}`);
  }
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw invalid(file, `the ${what} ${file} can't be read (${error.code}); check its owner and mode`, error);
  });
  if (!new RegExp(`-----BEGIN [A-Z ]*${label}-----`).test(text)) {
    throw invalid(file, `the ${what} ${file} holds no PEM block "${label}"; ${fix}`);
  }
  return text;
}

function invalid(file: string, message: string, cause?: unknown): AppError {
  return new AppError("InvalidArgument", `TLS: ${message}`, {
    data: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A text that changes when any of the files does (size, time or inode): cheap enough to poll. */
export function tlsFilesStamp(files: TlsFiles): Promise<string> {
  return filesStamp([files.certFile, files.keyFile, ...files.caFiles]);
}

/** The same for any files. */
export async function filesStamp(paths: readonly string[]): Promise<string> {
  const stamps = await Promise.all(
    paths.map(async (path) => {
      const found = await stat(path).catch(() => undefined);
      return found === undefined ? "gone" : `${found.ino}:${found.size}:${found.mtimeMs}`;
    }),
  );
  return stamps.join("|");
}
