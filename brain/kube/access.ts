/** Where an API server is and how we show it who we are: see `credentials.ts` for where these come from. */
import { AppError } from "@couchestor/common/errors/app-error.ts";

/** What a connection needs: as `fetch` takes it. */
export interface Credentials {
  headers: Record<string, string>;
  tls: { ca?: string; cert?: string; key?: string; serverName?: string; rejectUnauthorized?: boolean };
}

export interface ClusterAccess {
  /** `https://10.0.0.1:443`, no slash at the end. */
  readonly server: string;
  /** Of the service account or the context; `default` if neither says. */
  readonly namespace: string;
  /** For messages: where these came from. */
  readonly source: string;
  /** The credentials now, at most some seconds old; `anew` reads everything again, for after a refusal. */
  credentials(anew?: boolean): Promise<Credentials>;
}

/** The header for a token. */
export function bearer(token: string): Record<string, string> {
  const text = token.trim();
  if (text === "") throw new AppError("FailedPrecondition", "the token is empty");
  return { authorization: `Bearer ${text}` };
}
