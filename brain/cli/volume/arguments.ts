/** Arguments that several volume verbs share. */
import type { ArgumentSpec } from "../command-spec.ts";

export const newVolumeName: ArgumentSpec = {
  name: "NAME",
  help: "Name of the new volume: lower-case letters, digits and '-', at most 50",
  required: true,
};

export const volumeName: ArgumentSpec = {
  name: "NAME",
  help: "Name of the volume",
  required: true,
  completes: "volumes",
};
