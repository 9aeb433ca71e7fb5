/** The golden pages: those captured from devices, and those made from published layouts, where there was no device to capture from. */
import pages from "../testdata/pages.json" with { type: "json" };

type Name = keyof typeof pages.captured | keyof typeof pages.made;

/** A fresh copy of a page's bytes. */
export function golden(name: Name): Uint8Array {
  const all: Record<string, { hex: string }> = { ...pages.captured, ...pages.made };
  return Uint8Array.from(Buffer.from((all[name] as { hex: string }).hex, "hex"));
}
