/**
 * Assertions are for our own bugs: what a user, a peer or a disk can cause is an `AppError`.
 */

export class InvariantError extends Error {
  override readonly name = "InvariantError";
  readonly data: Record<string, unknown>;

  constructor(message: string, data: Record<string, unknown> = {}) {
    super(message);
    this.data = data;
  }
}

/** `value`, which the caller knows is there. Throws `InvariantError` naming `what` if it is not. */
export function must<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new InvariantError(`invariant broken: ${what} is missing`);
  return value;
}
