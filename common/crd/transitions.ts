/** Rules on how a spec may change, which the API server holds against whoever edits it. What a deletion and a creation make of it they don't see. */

export interface TransitionRule {
  rule: string;
  message: string;
  fieldPath: string;
}

/** The field stays what it was made with. */
export function fixed(field: string): TransitionRule {
  return {
    rule: `self.${field} == oldSelf.${field}`,
    message: `${field}: allowed is only what it was: what is on the disks was made by it`,
    fieldPath: `.${field}`,
  };
}

/** The number never becomes less. */
export function neverBack(field: string): TransitionRule {
  return {
    rule: `self.${field} >= oldSelf.${field}`,
    message: `${field}: allowed is no less than it was: what was replaced since may be gone`,
    fieldPath: `.${field}`,
  };
}
