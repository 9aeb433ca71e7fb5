/**
 * The native libraries inside this program: none when it runs from source. `build-plugin.ts` puts another module in this one's place when the
 * program is compiled, with the libraries of the target architecture.
 */

export interface EmbeddedLibrary {
  /** `libisal`, `liblz4` or `libaio`. */
  readonly name: string;
  /** The version of the package it came from, such as `2.31.1-1.1`. */
  readonly version: string;
  /** Where Bun's embedded file system has it; readable, but not loadable by the dynamic linker. */
  readonly path: string;
}

export const embeddedLibraries: readonly EmbeddedLibrary[] = [];
