/** An answer of the REST server. */

export interface Answer {
  status: number;
  /** JSON, or nothing. */
  body?: unknown;
  /** A proxy's page instead. */
  html?: string;
}

export function ok(body: unknown): Answer {
  return { status: 200, body };
}

/** An error in Mayastor's form. */
export function problem(status: number, kind: string, details: string): Answer {
  return { status, body: { details, message: `SvcError :: ${kind}`, kind } };
}
