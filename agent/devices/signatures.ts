/**
 * The marks by which file systems, partition tables, volume managers and the like are known, each at the offset that its own on-disk format
 * documents. Data only; `content.ts` looks for them. We read them ourselves so that the verdict is the same on every machine.
 */

export interface Signature {
  /** `ext4`, `gpt` … */
  what: string;
  /** `an ext2, ext3 or ext4 file system` */
  text: string;
  /** Where it is: bytes from the beginning, or (negative) from the end. Several: any of them. */
  at: readonly number[];
  /** One byte a character. */
  mark: string;
  /** Where the name that people gave it is, from the beginning of the device, and how long at most. */
  label?: { at: number; length: number };
}

const kib = 1024;
/** The sizes of memory pages, which the place of a swap header follows. */
const pages = [4 * kib, 8 * kib, 16 * kib, 64 * kib];
const swapAt = pages.map((page) => page - 10);

export const signatures: readonly Signature[] = [
  {
    what: "ext4",
    text: "an ext2, ext3 or ext4 file system",
    at: [0x438],
    mark: "\x53\xef",
    label: { at: 0x478, length: 16 },
  },
  { what: "xfs", text: "an XFS file system", at: [0], mark: "XFSB", label: { at: 108, length: 12 } },
  {
    what: "btrfs",
    text: "a btrfs file system",
    at: [0x1_0040],
    mark: "_BHRfS_M",
    label: { at: 0x1_012b, length: 256 },
  },
  { what: "f2fs", text: "an F2FS file system", at: [kib], mark: "\x10\x20\xf5\xf2" },
  { what: "ntfs", text: "an NTFS file system", at: [3], mark: "NTFS    " },
  { what: "exfat", text: "an exFAT file system", at: [3], mark: "EXFAT   " },
  { what: "vfat", text: "a FAT file system", at: [54, 82], mark: "FAT" },
  { what: "bitlocker", text: "a BitLocker volume", at: [3], mark: "-FVE-FS-" },
  { what: "iso9660", text: "an ISO 9660 image", at: [0x8001], mark: "CD001" },
  { what: "udf", text: "a UDF file system", at: [0x8001, 0x8801], mark: "BEA01" },
  { what: "udf", text: "a UDF file system", at: [0x8001, 0x8801, 0x9001], mark: "NSR0" },
  { what: "squashfs", text: "a squashfs image", at: [0], mark: "hsqs" },
  { what: "erofs", text: "an EROFS image", at: [kib], mark: "\xe2\xe1\xf5\xe0" },
  { what: "reiserfs", text: "a ReiserFS file system", at: [0x1_0034], mark: "ReIsEr" },
  { what: "jfs", text: "a JFS file system", at: [0x8000], mark: "JFS1" },
  { what: "ocfs2", text: "an OCFS2 file system", at: [kib, 2 * kib, 4 * kib, 8 * kib], mark: "OCFSV2" },
  { what: "gfs2", text: "a GFS2 file system", at: [0x1_0000], mark: "\x01\x16\x19\x70" },
  { what: "nilfs2", text: "a NILFS2 file system", at: [kib + 6], mark: "\x34\x34" },
  { what: "hfs+", text: "an HFS+ file system", at: [kib], mark: "H+\x00\x04" },
  { what: "hfs+", text: "an HFS+ file system", at: [kib], mark: "HX\x00\x05" },
  { what: "apfs", text: "an APFS container", at: [32], mark: "NXSB" },
  { what: "zonefs", text: "a zonefs file system", at: [0], mark: "SFOZ" },
  {
    what: "bcachefs",
    text: "a bcachefs file system",
    at: [4 * kib + 24],
    mark: "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
  },
  {
    what: "bcache",
    text: "a bcache device",
    at: [4 * kib + 24],
    mark: "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
  },
  { what: "lvm", text: "an LVM physical volume", at: [0, 512, 1024, 1536], mark: "LABELONE" },
  { what: "luks", text: "a LUKS encrypted volume", at: [0], mark: "LUKS\xba\xbe" },
  {
    what: "luks",
    text: "a LUKS encrypted volume (its second header)",
    at: [0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000],
    mark: "SKUL\xba\xbe",
  },
  { what: "raid", text: "a member of a Linux RAID", at: [0, 4 * kib], mark: "\xfc\x4e\x2b\xa9" },
  { what: "raid", text: "a member of a DDF RAID of the firmware", at: [-512], mark: "\xde\x11\xde\x11" },
  { what: "raid", text: "a member of an Intel RAID of the firmware", at: [-1024], mark: "Intel Raid ISM Cfg Sig. " },
  { what: "raid", text: "a member of an NVIDIA RAID of the firmware", at: [-1024], mark: "NVIDIA  " },
  { what: "swap", text: "swap space", at: swapAt, mark: "SWAPSPACE2" },
  { what: "swap", text: "swap space", at: swapAt, mark: "SWAP-SPACE" },
  { what: "suspend", text: "the memory of a suspended system", at: swapAt, mark: "S1SUSPEND\0" },
  { what: "suspend", text: "the memory of a suspended system", at: swapAt, mark: "S2SUSPEND\0" },
  { what: "suspend", text: "the memory of a suspended system", at: swapAt, mark: "LINHIB0001" },
  { what: "verity", text: "a dm-verity hash tree", at: [0], mark: "verity\0\0" },
  { what: "integrity", text: "a dm-integrity volume", at: [0], mark: "integrt\0" },
  { what: "vdo", text: "a VDO volume", at: [0], mark: "dmvdo001" },
  { what: "stratis", text: "a Stratis pool", at: [516, 4612], mark: "!Stra0tis\x86\xff\x02^\x41rh" },
  { what: "drbd", text: "a DRBD device", at: [-4096 + 60], mark: "\x83\x74\x02\x6b" },
  { what: "drbd", text: "a DRBD device", at: [-4096 + 60], mark: "\x83\x74\x02\x6c" },
  { what: "drbd", text: "a DRBD device", at: [-4096 + 60], mark: "\x83\x74\x02\x6d" },
  { what: "ceph", text: "a Ceph OSD", at: [0], mark: "bluestore block device\n" },
  { what: "spdk", text: "an SPDK blob store, such as a disk pool of Mayastor", at: [0], mark: "SPDKBLOB" },
  { what: "oracle-asm", text: "an Oracle ASM disk", at: [32], mark: "ORCLDISK" },
  { what: "gpt", text: "a GPT partition table", at: [512, 4096], mark: "EFI PART" },
  { what: "gpt", text: "the second copy of a GPT partition table", at: [-512, -4096], mark: "EFI PART" },
  { what: "apm", text: "an Apple partition map", at: [512], mark: "PM\x00\x00" },
  { what: "sun", text: "a Sun disk label", at: [508], mark: "\xda\xbe" },
  { what: "bsd", text: "a BSD disk label", at: [0, 64, 512], mark: "\x57\x45\x56\x82" },
];
