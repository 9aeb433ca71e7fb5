/** LZ4 by lz4_flex compiled to WebAssembly, for machines without liblz4. It puts the original size before the block; here it is taken off. */
import { readFileSync } from "node:fs";
import wasmPath from "lz4-wasm-nodejs/lz4_wasm_nodejs_bg.wasm" with { type: "file" };
import { checkInput, damagedBlock, decompressChecked, type Lz4, worthwhileBytes } from "./block.ts";

interface Lz4Exports {
  readonly memory: WebAssembly.Memory;
  compress(result: number, bytes: number, length: number): void;
  decompress(result: number, bytes: number, length: number): void;
  __wbindgen_add_to_stack_pointer(delta: number): number;
  __wbindgen_malloc(bytes: number): number;
  __wbindgen_free(address: number, bytes: number): void;
}

const sizePrefixBytes = 4;
const resultBytes = 16;

class Lz4Instance {
  readonly #exports: Lz4Exports;
  #lastMessage = "";

  constructor(module: WebAssembly.Module) {
    const decoder = new TextDecoder();
    const instance = new WebAssembly.Instance(module, {
      __wbindgen_placeholder__: {
        /** Called with the text of an error; the number returned stands for it and is not looked up. */
        __wbindgen_string_new: (address: number, length: number) => {
          this.#lastMessage = decoder.decode(new Uint8Array(this.#exports.memory.buffer, address, length));
          return 0;
        },
      },
    });
    this.#exports = instance.exports as unknown as Lz4Exports;
  }

  /** Runs `compress` or `decompress` on `input`, which it takes over and frees. Returns a copy of the result, or the text of the error. */
  run(operation: "compress" | "decompress", parts: readonly Uint8Array[]): Uint8Array | string {
    const wasm = this.#exports;
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const input = wasm.__wbindgen_malloc(length);
    let at = input;
    for (const part of parts) {
      new Uint8Array(wasm.memory.buffer, at, part.length).set(part);
      at += part.length;
    }
    const result = wasm.__wbindgen_add_to_stack_pointer(-resultBytes);
    try {
      wasm[operation](result, input, length);
      const [address = 0, bytes = 0, , failed] = new Int32Array(wasm.memory.buffer, result, 4);
      if (operation === "decompress" && failed) return this.#lastMessage;
      const out = new Uint8Array(wasm.memory.buffer, address, bytes).slice();
      wasm.__wbindgen_free(address, bytes);
      return out;
    } finally {
      wasm.__wbindgen_add_to_stack_pointer(resultBytes);
    }
  }
}

/** LZ4 in WebAssembly; one instance, replaced if it ever traps. */
export function loadWasmLz4(): Lz4 {
  const module = new WebAssembly.Module(readFileSync(wasmPath));
  let instance = new Lz4Instance(module);

  const run = (operation: "compress" | "decompress", parts: readonly Uint8Array[]): Uint8Array | string => {
    try {
      return instance.run(operation, parts);
    } catch (error) {
      instance = new Lz4Instance(module);
      return error instanceof Error ? error.message : String(error);
    }
  };

  const decompressBlock = (block: Uint8Array, originalBytes: number): Uint8Array => {
    const prefix = new Uint8Array(sizePrefixBytes);
    new DataView(prefix.buffer).setUint32(0, originalBytes, true);
    const out = run("decompress", [prefix, block]);
    if (typeof out === "string") throw damagedBlock(block.length, originalBytes, out);
    if (out.length !== originalBytes) throw damagedBlock(block.length, originalBytes, `it gives ${out.length} bytes`);
    return out;
  };

  return {
    description: "lz4 webassembly",
    compress(bytes) {
      checkInput(bytes);
      const room = worthwhileBytes(bytes.length);
      if (room === 0) return { raw: true, bytes };
      const out = run("compress", [bytes]);
      if (typeof out === "string" || out.length - sizePrefixBytes > room) return { raw: true, bytes };
      return { raw: false, bytes: out.subarray(sizePrefixBytes) };
    },
    decompress: (compressed, originalBytes, limitBytes) =>
      decompressChecked(compressed, originalBytes, limitBytes, decompressBlock),
  };
}
