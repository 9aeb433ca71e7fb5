/** What the API server's own record says of writes. */

/** An audit policy that keeps who wrote what, once it is answered, and nothing of reads. */
export const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived", "ResponseStarted"],
  rules: [{ level: "Metadata", verbs: ["create", "update", "patch", "delete", "deletecollection"] }, { level: "None" }],
};

export interface AuditedWrite {
  user: string;
  verb: string;
  /** With the subresource: `storagepolicies/status`. */
  resource: string;
  namespace: string;
  name: string;
  /** HTTP status. */
  code: number;
}

/** One line of the log. */
export function auditedWrite(line: string): AuditedWrite {
  const { user, verb, objectRef, responseStatus } = JSON.parse(line) as {
    user: { username: string };
    verb: string;
    objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string };
    responseStatus?: { code?: number };
  };
  const { resource = "", subresource, namespace = "", name = "" } = objectRef ?? {};
  return {
    user: user.username,
    verb,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    namespace,
    name,
    code: responseStatus?.code ?? 0,
  };
}
