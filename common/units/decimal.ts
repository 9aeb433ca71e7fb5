/**
 * Exact arithmetic for decimal text times a unit, without going through floating point.
 */

/** `text` (digits with an optional fraction and exponent, no sign) times `unit`. `exact` is false when a remainder was cut off. */
export function scaleDecimal(text: string, unit: bigint): { whole: bigint; exact: boolean } | undefined {
  const match = /^(\d{1,40})(?:\.(\d{0,40}))?(?:[eE]([+-]?\d{1,3}))?$/.exec(text);
  if (match === null) return undefined;
  const fraction = match[2] ?? "";
  const exponent = Number(match[3] ?? "0") - fraction.length;
  const digits = BigInt(`${match[1]}${fraction}`) * unit;
  if (exponent >= 0) return { whole: digits * 10n ** BigInt(exponent), exact: true };
  const divisor = 10n ** BigInt(-exponent);
  return { whole: digits / divisor, exact: digits % divisor === 0n };
}
