/**
 * The lab's machines as QEMU arguments: what disks each has, and where they are attached. Pure.
 */

/** A file on the host that a disk of the guest is made of. */
export interface Image {
  /** Also the name of QEMU's block node. */
  name: string;
  sizeBytes: number;
}

export interface Machine {
  images: readonly Image[];
  /** Arguments that attach the images. */
  devices: readonly string[];
  /** Block devices that the guest waits for before the job starts. */
  diskCount: number;
}

const mebibyte = 1 << 20;

/** Free PCIe slots for devices that come while the guest runs: `rp0` to `rp3`, and a SCSI bus `vscsi.0`. */
const slots = [
  ...[0, 1, 2, 3].flatMap((n) => ["-device", `pcie-root-port,id=rp${n},bus=pcie.0,chassis=${n + 1},slot=${n + 1}`]),
  "-device",
  "virtio-scsi-pci,id=vscsi",
];

function devices(...lines: string[]): string[] {
  return lines.flatMap((line) => ["-device", line]);
}

/** One disk of each kind. Sizes are small: images are sparse files, and the guest's speed is that of an emulator. */
const standard: Machine = {
  images: [
    { name: "nv0", sizeBytes: 1024 * mebibyte },
    { name: "nv0b", sizeBytes: 256 * mebibyte },
    { name: "zn0", sizeBytes: 512 * mebibyte },
    { name: "sata0", sizeBytes: 512 * mebibyte },
    { name: "sas0", sizeBytes: 512 * mebibyte },
    { name: "vs0", sizeBytes: 512 * mebibyte },
  ],
  devices: [
    ...slots,
    ...devices(
      "nvme-subsys,id=sub0,nqn=lab0",
      "nvme,id=nvc0,serial=NVME0001,subsys=sub0",
      "nvme-ns,id=ns0,drive=nv0,bus=nvc0,nsid=1,logical_block_size=512,physical_block_size=4096",
      "nvme-ns,id=ns0b,drive=nv0b,bus=nvc0,nsid=2,logical_block_size=4096,physical_block_size=4096",
      "nvme,id=nvc1,serial=ZNS00001",
      "nvme-ns,id=nsz,drive=zn0,bus=nvc1,nsid=1,logical_block_size=4096,physical_block_size=4096,zoned=true," +
        "zoned.zone_size=16M,zoned.zone_capacity=12M,zoned.max_open=8,zoned.max_active=12,uuid=5e40ec5f-eeb6-4317-bc5e-c919796a5f79",
      "ich9-ahci,id=ahci0",
      "ide-hd,id=hd0,drive=sata0,bus=ahci0.0,serial=SATA0001,model=LAB-SATA-HDD,rotation_rate=7200,wwn=0x5000c50000000001",
      "mptsas1068,id=sas",
      "scsi-hd,id=sd0,drive=sas0,bus=sas.0,scsi-id=0,serial=SAS00001,vendor=LABSAS,product=SASDISK,rotation_rate=10000,wwn=0x5000c50000000002",
      "scsi-hd,id=sd1,drive=vs0,bus=vscsi.0,serial=VSCSI001,rotation_rate=1,wwn=0x5000c50000000003",
    ),
  ],
  diskCount: 6,
};

/** Eight NVMe disks with one namespace each. */
const eight: Machine = {
  images: Array.from({ length: 8 }, (_, n) => ({ name: `nv${n}`, sizeBytes: 256 * mebibyte })),
  devices: [
    ...slots,
    ...devices(...Array.from({ length: 8 }, (_, n) => `nvme,id=nvc${n},serial=NVME000${n},drive=nv${n}`)),
  ],
  diskCount: 8,
};

/** No disk at all: for modules that make their own (scsi_debug, null_blk), and for disks that come later. */
const bare: Machine = { images: [], devices: slots, diskCount: 0 };

/** Every machine by its name. */
export const machines: Readonly<Record<string, Machine>> = { standard, eight, bare };

export interface BootOptions {
  machine: Machine;
  /** Folder of the unpacked lab. */
  lab: string;
  /** The job's folder on the host: images, console, and what the guest reads and writes as `/job`. */
  job: string;
  /** Folders of the host that the guest sees read-only at the same place. */
  shares: readonly string[];
  memoryMiB: number;
  cpus: number;
  /** QEMU's accelerator; emulation unless told otherwise, since not every /dev/kvm can run a guest. */
  accelerator: string;
}

/** The share's name in QEMU: the guest's `/job/shares` says where it belongs. */
export function shareTag(index: number): string {
  return `share${index}`;
}

/** QEMU's arguments, without the program. */
export function qemuArguments(options: BootOptions): string[] {
  const { machine, lab, job } = options;
  const folder = (tag: string, path: string, flags: string) => [
    ...["-fsdev", `local,id=${tag},path=${path},security_model=none${flags}`],
    ...["-device", `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
  ];
  const readOnly = ",readonly=on,multidevs=remap";
  return [
    ...["-L", `${lab}/root/usr/share/qemu`, "-L", `${lab}/root/usr/share/seabios`],
    ...["-accel", options.accelerator, "-machine", "q35", "-cpu", "max"],
    ...["-m", String(options.memoryMiB), "-smp", String(options.cpus)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", `file:${job}/console`],
    ...["-kernel", `${lab}/vmlinux`, "-initrd", `${lab}/initrd.img`],
    ...["-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable"],
    ...["-device", "isa-debug-exit,iobase=0xf4,iosize=0x01"],
    ...["-qmp", `unix:${job}/qmp,server=on,wait=off`],
    ...folder("root", `${lab}/root`, readOnly),
    ...folder("modules", `${lab}/modules`, readOnly),
    ...folder("job", job, ""),
    ...options.shares.flatMap((path, index) => folder(shareTag(index), path, readOnly)),
    ...["-object", "throttle-group,id=throttle"],
    ...machine.images.flatMap((image) => ["-blockdev", imageNode(image.name, `${job}/${image.name}.img`)]),
    ...machine.devices,
  ];
}

/** A block node over a file. What is lost with the host is not what the lab tests, so the host need not sync; the first disk can be slowed down. */
function imageNode(name: string, path: string): string {
  const file = { driver: "file", filename: path };
  const raw = { driver: "raw", file, cache: { "no-flush": true } };
  const node = name === "nv0" ? { driver: "throttle", "throttle-group": "throttle", file: raw } : raw;
  return JSON.stringify({ ...node, "node-name": name });
}
