/** Tables: boxes on a terminal, plain aligned columns for pipes and files. */
import Table from "cli-table3";

export interface TableOptions {
  boxes?: boolean;
  /** Of the boxes and the head. */
  colour?: boolean;
  /** Columns whose cells are set to the right, by index. */
  right?: readonly number[];
}

/** The table as text without a newline at the end. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string {
  return options.boxes ? boxed(head, rows, options) : plain(head, rows, options.right ?? []);
}

function boxed(head: readonly string[], rows: readonly (readonly string[])[], options: TableOptions): string {
  const { right = [], colour = false } = options;
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, index) => (right.includes(index) ? "right" : "left")),
    style: {
      head: colour ? ["bold"] : [],
      border: colour ? ["grey"] : [],
      compact: true,
      "padding-left": 1,
      "padding-right": 1,
    },
  });
  for (const row of rows) table.push([...row]);
  return table.toString();
}

function plain(head: readonly string[], rows: readonly (readonly string[])[], right: readonly number[]): string {
  const all = [head.map((cell) => cell.toUpperCase()), ...rows];
  const widths = head.map((_, index) => Math.max(...all.map((row) => Bun.stringWidth(row[index] ?? ""))));
  return all
    .map((row) =>
      widths
        .map((width, index) => pad(row[index] ?? "", width, right.includes(index)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
  return right ? space + text : text + space;
}
