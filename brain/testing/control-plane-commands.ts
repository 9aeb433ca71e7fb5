/** The command lines of the test control plane's programs. */
import { join } from "node:path";
import { assetsDirectory } from "./control-plane-binaries.ts";

export interface Place {
  dir: string;
  etcdPort: number;
  peerPort: number;
  apiPort: number;
  withControllers: boolean;
  /** Writes are logged to `audit.log`. */
  audit: boolean;
}

const loopback = "127.0.0.1";

export function etcdCommand({ dir, etcdPort, peerPort }: Place): string[] {
  const client = `http://${loopback}:${etcdPort}`;
  const peer = `http://${loopback}:${peerPort}`;
  return [
    join(assetsDirectory(), "etcd"),
    `--data-dir=${join(dir, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    // The data of a test needn't outlive a power cut.
    "--unsafe-no-fsync",
  ];
}

export function apiServerCommand({ dir, etcdPort, apiPort, withControllers, audit }: Place): string[] {
  return [
    join(assetsDirectory(), "kube-apiserver"),
    `--etcd-servers=http://${loopback}:${etcdPort}`,
    `--secure-port=${apiPort}`,
    `--bind-address=${loopback}`,
    `--tls-cert-file=${join(dir, "apiserver.crt")}`,
    `--tls-private-key-file=${join(dir, "apiserver.key")}`,
    `--client-ca-file=${join(dir, "ca.crt")}`,
    `--token-auth-file=${join(dir, "tokens.csv")}`,
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${join(dir, "sa.pub")}`,
    `--service-account-signing-key-file=${join(dir, "sa.key")}`,
    "--service-cluster-ip-range=10.0.0.0/24",
    "--allow-privileged=true",
    "--shutdown-delay-duration=0s",
    ...(audit ? [`--audit-policy-file=${join(dir, "audit.json")}`, `--audit-log-path=${join(dir, "audit.log")}`] : []),
    // Without the controllers nobody makes the service accounts that it asks for.
    ...(withControllers ? [] : ["--disable-admission-plugins=ServiceAccount"]),
  ];
}

export function controllersCommand({ dir }: Place): string[] {
  return [
    join(assetsDirectory(), "kube-controller-manager"),
    `--kubeconfig=${join(dir, "kubeconfig")}`,
    `--service-account-private-key-file=${join(dir, "sa.key")}`,
    `--root-ca-file=${join(dir, "ca.crt")}`,
    "--use-service-account-credentials",
    "--leader-elect=false",
    "--secure-port=0",
  ];
}

export function schedulerCommand({ dir }: Place): string[] {
  return [
    join(assetsDirectory(), "kube-scheduler"),
    `--kubeconfig=${join(dir, "kubeconfig")}`,
    "--leader-elect=false",
    "--secure-port=0",
  ];
}

export function kwokCommand({ dir }: Place): string[] {
  return [
    join(assetsDirectory(), "kwok"),
    `--kubeconfig=${join(dir, "kubeconfig")}`,
    "--manage-all-nodes=true",
    `--config=${join(assetsDirectory(), "stages.yaml")}`,
    "--node-lease-duration-seconds=40",
  ];
}

/** A node that kwok keeps ready. */
export function nodeObject(name: string): unknown {
  const resources = { cpu: "16", memory: "64Gi", pods: "110" };
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      annotations: { "kwok.x-k8s.io/node": "fake" },
      labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64" },
    },
    status: { capacity: resources, allocatable: resources },
  };
}
