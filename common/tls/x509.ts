/**
 * The library that makes certificates, loaded when it is first needed. It wants `reflect-metadata` to have run before; static imports of the two
 * don't keep that order in a compiled program.
 */
export type X509 = typeof import("@peculiar/x509");

export async function loadX509(): Promise<X509> {
  await import("reflect-metadata");
  return await import("@peculiar/x509");
}
