/** `couchestor cert init` */
import { type Command, exitOk } from "../command.ts";
import { UsageError } from "../parsed-arguments.ts";
import { countText } from "../text.ts";

const validDaysMax = 3650;

export const certInit: Command = {
  path: ["cert", "init"],
  summary: "Make a CA for each role and certificates for agents, brain and administrator",
  description:
    "Off loopback everything speaks mutual TLS. There is a CA for each role, so that what an agent may call an administrator's certificate " +
    "does not open, and the other way round. Keep the *-ca.key files off the storage nodes.",
  arguments: [],
  options: {
    dir: { kind: "directory", value: "DIR", help: "Where the files go", required: true },
    host: { kind: "text-list", value: "NAME", help: "DNS name or address by which agents and brain are reached" },
    days: {
      kind: "count",
      value: "N",
      help: `How long certificates are good, 1 to ${validDaysMax} days`,
      defaultText: "397",
    },
    renew: { kind: "flag", help: "Keep the CAs that are there, make new certificates" },
  },
  examples: [
    {
      command: "couchestor cert init --dir tls --host node1.lan --host node2.lan --host 10.0.0.9",
      text: "for three machines",
    },
    { command: "couchestor cert init --dir tls --host node1.lan --renew", text: "before they run out" },
  ],
  async run(context, args) {
    const days = args.number("days");
    if (days !== undefined && (days < 1 || days > validDaysMax)) {
      throw new UsageError(`--days: got ${days}, allowed is 1 to ${validDaysMax}`, certInit);
    }
    const { createTlsFiles } = await import("@couchestor/common/tls/create-files.ts");
    const files = await createTlsFiles({
      dir: args.requiredText("dir"),
      hosts: args.list("host"),
      renew: args.flag("renew"),
      clock: context.host.clock,
      ...(days === undefined ? {} : { validDays: days }),
    });
    context.output.result({ files }, () => {
      context.output.line(`${countText(files.length, "file")} written:`);
      for (const file of files) context.output.line(`  ${file}`);
    });
    return exitOk;
  },
};
