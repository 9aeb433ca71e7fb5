declare module "*.wasm" {
  /** The path of the file, embedded in the compiled program. */
  const path: string;
  export default path;
}
