/** What is said of a command that a device, its bridge or its adapter refused or failed, whatever language it was in. */

export class DeviceCommandError extends Error {
  override readonly name: string = "DeviceCommandError";
  readonly operation: string;
  readonly path: string;
  /** Whether the device says that it lacks the command, page or field: an optional one, no fault of the device. */
  readonly isUnsupported: boolean;
  /** Whether no device answered at all. */
  readonly isGone: boolean;

  constructor(operation: string, path: string, words: string, is: { unsupported: boolean; gone: boolean }) {
    super(`${operation} ${path}: ${words}`);
    this.operation = operation;
    this.path = path;
    this.isUnsupported = is.unsupported;
    this.isGone = is.gone;
  }
}
