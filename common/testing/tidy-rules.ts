/**
 * The rules that `tidy.test.ts` holds every source file to. Each takes one file and returns its offences with their lines.
 */

export interface SourceFile {
  /** Path from the root of the repository. */
  path: string;
  lines: readonly string[];
}

export interface Offence {
  /** 1-based. */
  line: number;
  message: string;
}

export type Rule = (file: SourceFile) => Offence[];

export const sourceLinesMax = 300;
export const testLinesMax = 400;
export const functionLinesMax = 70;

/** Whether the file is a test or serves tests only (`conformance*.ts` are suites that several adapters of a port run; `deploy/lab` runs tests). */
export function isTest(path: string): boolean {
  if (path.includes("/testing/") || path.startsWith("deploy/lab/")) return true;
  return /\.test\.tsx?$|(^|\/)conformance[\w-]*\.ts$/.test(path);
}

/** Only `common/runtime` reads the wall clock, sets timers or draws randomness, so that a simulator can replace all three. */
export const bannedCalls: Rule = (file) => {
  if (file.path.startsWith("common/runtime/")) return [];
  const mayPrint = isTest(file.path);
  const banned: [RegExp, string][] = [
    [/\bDate\.now\b/, "Date.now: take a Clock"],
    [/\bnew Date\(\s*\)/, "new Date(): take a Clock"],
    [/\bMath\.random\b/, "Math.random: take a Prng"],
    [/(?<![\w.#])set(Timeout|Interval)\(/, "a bare timer: take a Clock"],
    [/\bglobalThis\.set(Timeout|Interval)\b/, "a bare timer: take a Clock"],
    [/(?<![\w.#])console\.\w+/, "console: log through the logger, print through the CLI's output"],
    [/\bBun\.sleep\w*\(/, "Bun.sleep: take a Clock"],
  ];
  return eachCodeLine(file, (code) =>
    banned
      .filter(([pattern, message]) => pattern.test(code) && !(mayPrint && message.startsWith("console")))
      .map(([, message]) => message),
  );
};

/** Nothing is switched off: `test.skipIf` with a reason is allowed, an unconditional skip is not. */
export const noDisabledTests: Rule = (file) =>
  eachCodeLine(file, (code) =>
    /\b(test|it|describe)\.(skip|only|todo|failing)\b/.test(code) ? ["a test that is switched off or alone"] : [],
  );

/** A file fits in the head. */
export const fileLength: Rule = (file) => {
  const max = isTest(file.path) ? testLinesMax : sourceLinesMax;
  const count = file.lines.at(-1) === "" ? file.lines.length - 1 : file.lines.length;
  return count > max ? [{ line: max + 1, message: `${count} lines, at most ${max}` }] : [];
};

/** A function fits on a screen. Found by indentation, which the formatter guarantees. */
export const functionLength: Rule = (file) => {
  if (isTest(file.path)) return [];
  const offences: Offence[] = [];
  const start =
    /^(\s*)(export )?(default )?(async )?(function\b|(static |override |private |readonly )*(async )?\*?#?\w+(<.*>)?\(.*\{$|const \w+.*=>\s*\{$)/;
  file.lines.forEach((line, index) => {
    const match = start.exec(line);
    if (match === null || /^\s*(if|for|while|switch|catch|return|await|else|do|try)\b/.test(line)) return;
    const end = file.lines.findIndex((other, at) => at > index && other.startsWith(`${match[1]}}`));
    const length = end - index + 1;
    if (end !== -1 && length > functionLinesMax) {
      offences.push({ line: index + 1, message: `a function of ${length} lines, at most ${functionLinesMax}` });
    }
  });
  return offences;
};

/** A reader who opens the file learns what it is for: a comment before the first code, or one on each export. */
export const documented: Rule = (file) => {
  if (isTest(file.path)) return [];
  const first = file.lines.findIndex((line) => line.trim() !== "" && !line.startsWith("#!"));
  if (/^\s*\/[/*]/.test(file.lines[first] ?? "")) return [];
  const bare = file.lines.findIndex(
    (line, index) =>
      /^export (async )?(function|class|interface|const|type)\b/.test(line) && !endsComment(file.lines[index - 1]),
  );
  return bare === -1 ? [] : [{ line: bare + 1, message: "no comment at the top of the file, nor on this export" }];
};

/** Names come from the file that defines them. */
export const noBarrel: Rule = (file) => {
  if (/(^|\/)index\.tsx?$/.test(file.path))
    return [{ line: 1, message: "a barrel file: import from the defining file" }];
  return eachCodeLine(file, (code) =>
    /^export (\*|\{[^}]*\}|type \{[^}]*\}) .*\bfrom\b/.test(code) ? ["a re-export"] : [],
  );
};

/** Named exports only. */
export const noDefaultExport: Rule = (file) =>
  eachCodeLine(file, (code) => (/^export default\b/.test(code) ? ["a default export: name it"] : []));

/** Words that mark something unfinished. */
export const nothingUnfinished: Rule = (file) => {
  const words = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "not impl" + "emented", "for n" + "ow", "place" + "holder"];
  const pattern = new RegExp(`\\b(${words.join("|")})\\b`);
  return file.lines.flatMap((line, index) =>
    pattern.test(line) ? [{ line: index + 1, message: `unfinished: ${pattern.exec(line)?.[1]}` }] : [],
  );
};

/** Nothing in the tree knows the machine it was written on. The strings are built from pieces so that this file passes. */
export const noMachinePaths: Rule = (file) => {
  const folders = ["wor" + "k", "ro" + "ot", "far" + "m", "ho" + "me"];
  const pattern = new RegExp(`["'\`\\s(=:](/(?:${folders.join("|")})/[\\w.-]+)`);
  return file.lines.flatMap((line, index) => {
    const found = pattern.exec(line)?.[1];
    return found === undefined ? [] : [{ line: index + 1, message: `a path of one machine: ${found}` }];
  });
};

function endsComment(line: string | undefined): boolean {
  return line !== undefined && (line.trim().endsWith("*/") || line.trim().startsWith("//"));
}

/** Runs `check` on each line with comments and the text of strings taken out. */
function eachCodeLine(file: SourceFile, check: (code: string) => string[]): Offence[] {
  let inComment = false;
  return file.lines.flatMap((line, index) => {
    const trimmed = line.trim();
    const starts = trimmed.startsWith("/*");
    const skip = inComment || starts || trimmed.startsWith("//");
    if (starts) inComment = true;
    if (inComment && trimmed.includes("*/")) inComment = false;
    if (skip) return [];
    const code = line
      .replace(/"(?:[^"\\]|\\.)*"/g, '""')
      .replace(/'(?:[^'\\]|\\.)*'/g, "''")
      .replace(/\s\/\/.*$/, "");
    return check(code).map((message) => ({ line: index + 1, message }));
  });
}
