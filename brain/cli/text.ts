/** Figures as people read them. */
import { approximateBytes } from "@couchestor/common/units/bytes.ts";

/** `256 MiB`, `1.50 GiB`. */
export function sizeText(bytes: number): string {
  return approximateBytes(bytes);
}

/** `43 %`, `0.4 %`; `-` of nothing. */
export function shareText(part: number, whole: number): string {
  if (whole <= 0) return "-";
  const percent = (100 * part) / whole;
  return percent > 0 && percent < 10 ? `${percent.toFixed(1)} %` : `${Math.round(percent)} %`;
}

/** `1 stripe`, `2 stripes`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Whole numbers in order as ranges: `0–15, 32, 40–47`; at most `rangesMax` of them, the rest counted. */
export function rangesText(ranges: readonly { first: number; count: number }[], rangesMax = 8): string {
  const merged: { first: number; count: number }[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const last = merged.at(-1);
    if (last !== undefined && last.first + last.count === range.first) last.count += range.count;
    else merged.push({ ...range });
  }
  const texts = merged.map((r) => (r.count === 1 ? `${r.first}` : `${r.first}–${r.first + r.count - 1}`));
  const more = texts.length - rangesMax;
  return more > 0 ? `${texts.slice(0, rangesMax).join(", ")} and ${countText(more, "more range")}` : texts.join(", ");
}
