/** Where the command line writes to, as a port. */

export interface TextStream {
  write(bytes: string | Uint8Array): void;
  isTty: boolean;
  columns: number;
}
