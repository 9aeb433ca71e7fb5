/** C structs by the natural alignment rules of the System V and AArch64 ABIs. Layouts are compared with `offsetof` in a test. */

const fieldBytes = { u8: 1, u16: 2, i16: 2, u32: 4, i32: 4, u64: 8, i64: 8 } as const;
export type FieldType = keyof typeof fieldBytes;

export interface StructLayout<Name extends string> {
  readonly name: string;
  readonly sizeBytes: number;
  readonly fields: Readonly<Record<Name, { readonly offset: number; readonly type: FieldType }>>;
}

/** Lays out the fields in the order given, each at a multiple of its size, the whole a multiple of the largest. */
export function defineStruct<Name extends string>(
  name: string,
  types: Readonly<Record<Name, FieldType>>,
): StructLayout<Name> {
  const fields = {} as Record<Name, { offset: number; type: FieldType }>;
  let end = 0;
  let alignment = 1;
  for (const [field, type] of Object.entries(types) as [Name, FieldType][]) {
    const size = fieldBytes[type];
    const offset = Math.ceil(end / size) * size;
    fields[field] = { offset, type };
    end = offset + size;
    alignment = Math.max(alignment, size);
  }
  return { name, sizeBytes: Math.ceil(end / alignment) * alignment, fields };
}

/** The size of a field in bytes. */
export function fieldSizeBytes(type: FieldType): number {
  return fieldBytes[type];
}

/** Structs of one layout, one behind the other, in memory that this object keeps alive. Little endian, as both architectures are. */
export class StructArray<Name extends string> {
  readonly bytes: Uint8Array;
  readonly layout: StructLayout<Name>;
  readonly #view: DataView;

  constructor(layout: StructLayout<Name>, count: number) {
    const memory = new ArrayBuffer(layout.sizeBytes * count);
    this.layout = layout;
    this.bytes = new Uint8Array(memory);
    this.#view = new DataView(memory);
  }

  /** Values of 64 bits must be safe integers; addresses and file offsets are. */
  set(index: number, field: Name, value: number): void {
    const { offset, type } = this.layout.fields[field];
    const at = index * this.layout.sizeBytes + offset;
    switch (type) {
      case "u8":
        this.#view.setUint8(at, value);
        return;
      case "u16":
      case "i16":
        this.#view.setUint16(at, value, true);
        return;
      case "u32":
      case "i32":
        this.#view.setUint32(at, value, true);
        return;
      case "u64":
      case "i64":
        if (!Number.isSafeInteger(value))
          throw new RangeError(`${this.layout.name}.${field}: ${value} is no safe integer`);
        this.#view.setUint32(at, value % 0x1_0000_0000, true);
        this.#view.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true);
        return;
    }
  }

  get(index: number, field: Name): number {
    const { offset, type } = this.layout.fields[field];
    const at = index * this.layout.sizeBytes + offset;
    switch (type) {
      case "u8":
        return this.#view.getUint8(at);
      case "u16":
        return this.#view.getUint16(at, true);
      case "i16":
        return this.#view.getInt16(at, true);
      case "u32":
        return this.#view.getUint32(at, true);
      case "i32":
        return this.#view.getInt32(at, true);
      case "u64":
        return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 0x1_0000_0000;
      case "i64":
        return this.#view.getUint32(at, true) + this.#view.getInt32(at + 4, true) * 0x1_0000_0000;
    }
  }
}
