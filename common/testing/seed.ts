/**
 * Loaded before all tests (`bunfig.toml`): with `COUCHESTOR_SEED=<seed>` every property draws its cases from that seed, unless it names its own.
 * Without, each run draws anew, and a failing property prints its seed.
 */
const seed = process.env["COUCHESTOR_SEED"];
if (seed !== undefined) {
  const { configureGlobal, readConfigureGlobal } = await import("fast-check");
  configureGlobal({ ...readConfigureGlobal(), seed: Number(seed) });
}

export {};
