/**
 * How the client reaches Mayastor's REST API. HTTP is one way (`http-transport.ts`); a control plane simulated in this process, on virtual
 * time, is another: both go through the same parsing and mapping of errors.
 */

export interface MayastorRequest {
  method: "GET" | "PUT" | "DELETE";
  /** With `/v0` and the query, escaped: `/v0/volumes?max_entries=10`. */
  path: string;
  /** Sent as JSON. */
  body?: unknown;
  signal?: AbortSignal | undefined;
}

export interface MayastorAnswer {
  status: number;
  /** The JSON of the answer; its text if it is not JSON, as a proxy's page is; undefined if it is empty. */
  body: unknown;
}

export interface MayastorTransport {
  /**
   * Any answer is returned, whatever its status. Throws an `AppError` when there was none: `Timeout`, `Unavailable`, `Cancelled`. Then the
   * request may have been carried out, may be later, or never.
   */
  request(request: MayastorRequest): Promise<MayastorAnswer>;
}
