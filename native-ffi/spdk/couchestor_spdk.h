/*
 * What CoucheStor asks of an NVMe driver in user space: flat, polled, without callbacks. couchestor_spdk.c answers with SPDK,
 * mock/couchestor_spdk_mock.c with files. Loaded at run time; nothing of SPDK is needed to build CoucheStor.
 *
 * Every function is called from one thread and returns at once: a command is submitted, and its end is told by cs_poll. A negative result is
 * -errno, with words for people in cs_last_error. Handles are addresses; 0 is none. Buffers of commands come from cs_dma_alloc and belong to
 * the driver until the command's completion. Blocks are logical blocks of the namespace.
 */
#ifndef COUCHESTOR_SPDK_H
#define COUCHESTOR_SPDK_H

#include <stdint.h>

/* Raised by each change that an older caller would not understand. */
#define CS_ABI_VERSION 1

struct cs_controller_info {
	char address[64]; /* what cs_attach takes: a PCI address such as 0000:5e:00.0 */
	char serial[24];
	char model[48];
	char firmware[16];
	uint32_t namespaces;
	uint32_t transfer_bytes_max; /* of one command */
};

struct cs_namespace_info {
	uint64_t blocks;
	uint64_t zone_blocks; /* 0 if it is not zoned */
	uint32_t block_bytes;
	uint32_t nsid;
	uint32_t zones;
	uint32_t active_zones_max; /* 0: no limit */
	uint32_t open_zones_max;   /* 0: no limit */
	uint32_t append_bytes_max; /* of one zone append; 0 if it is not zoned */
};

struct cs_completion {
	uint64_t tag;    /* as it was given with the command */
	uint64_t result; /* of a zone append: the block it begins at */
	uint32_t status; /* 0, or NVMe's status code type << 8 | status code */
	uint32_t reserved;
};

/* Zone actions of cs_zone_send, as NVMe numbers them. */
#define CS_ZONE_CLOSE 1
#define CS_ZONE_FINISH 2
#define CS_ZONE_OPEN 3
#define CS_ZONE_RESET 4

#define CS_PUBLIC __attribute__((visibility("default")))

CS_PUBLIC uint32_t cs_abi_version(void);
/* Of the last call that failed; valid until the next call. */
CS_PUBLIC const char *cs_last_error(void);

/* Once in a process. `options` is "key=value,key=value"; what keys there are is the driver's own affair. */
CS_PUBLIC int32_t cs_init(const char *options);
CS_PUBLIC void cs_fini(void);

/* Controllers that could be attached, without touching any. How many there are; at most `max` are written to `out`. */
CS_PUBLIC int32_t cs_probe(struct cs_controller_info *out, uint32_t max);
/* Takes a controller for this process alone: -EBUSY if another has it, -ENODEV if there is none. */
CS_PUBLIC int32_t cs_attach(const char *address, uint64_t *controller);
/* -EBUSY while it has queues. */
CS_PUBLIC int32_t cs_detach(uint64_t controller);
CS_PUBLIC int32_t cs_describe(uint64_t controller, struct cs_controller_info *out);
/* -ENODEV if the controller has no such active namespace. `out_namespace` lives as long as the controller is attached. */
CS_PUBLIC int32_t cs_namespace_open(uint64_t controller, uint32_t nsid, struct cs_namespace_info *out, uint64_t *out_namespace);

/* Memory that devices can reach. `alignment` is a power of two. 0 if there is none left. */
CS_PUBLIC uint64_t cs_dma_alloc(uint64_t bytes, uint64_t alignment);
CS_PUBLIC void cs_dma_free(uint64_t address);

CS_PUBLIC int32_t cs_queue_open(uint64_t controller, uint32_t depth, uint64_t *queue);
/* Commands that are still out get no completion; their buffers may be freed afterwards. */
CS_PUBLIC int32_t cs_queue_close(uint64_t queue);

/* -ENOMEM when the queue is full: poll and try again. -EFAULT for a buffer that is not wholly memory of cs_dma_alloc. -ENXIO: it is gone. */
CS_PUBLIC int32_t cs_read(uint64_t queue, uint64_t ns, uint64_t buffer, uint64_t block, uint32_t blocks, uint64_t tag);
CS_PUBLIC int32_t cs_write(uint64_t queue, uint64_t ns, uint64_t buffer, uint64_t block, uint32_t blocks, uint64_t tag);
/* What was completed before is durable when this completes. */
CS_PUBLIC int32_t cs_flush(uint64_t queue, uint64_t ns, uint64_t tag);
CS_PUBLIC int32_t cs_zone_append(uint64_t queue, uint64_t ns, uint64_t buffer, uint64_t zone_block, uint32_t blocks, uint64_t tag);
/* The zones from `block` on, as NVMe's extended-less Report Zones page: u64 count at 0, descriptors of 64 bytes from 64 on. */
CS_PUBLIC int32_t cs_zone_report(uint64_t queue, uint64_t ns, uint64_t buffer, uint32_t bytes, uint64_t block, uint64_t tag);
CS_PUBLIC int32_t cs_zone_send(uint64_t queue, uint64_t ns, uint64_t block, uint32_t action, uint64_t tag);
/* The SMART / Health Information log page: 512 bytes. */
CS_PUBLIC int32_t cs_health_page(uint64_t queue, uint64_t buffer, uint64_t tag);

/* Completions since the last call, at most `max`, of all commands of the queue. -ENXIO: the controller is gone, and nothing more will come. */
CS_PUBLIC int32_t cs_poll(uint64_t queue, struct cs_completion *out, uint32_t max);

#endif
