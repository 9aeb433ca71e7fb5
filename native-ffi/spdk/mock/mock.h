/* What the parts of the mock share. couchestor_spdk_mock.c says what it is; controllers, memory and namespaces are there, commands in commands.c, zones in zones.c. */
#pragma once
#define _GNU_SOURCE
#include "../couchestor_spdk.h"
#include <stddef.h>
#include <stdint.h>

#define BLOCK_BYTES 4096u
#define TRANSFER_BYTES_MAX (256u * 1024)
#define QUEUE_DEPTH_MAX 1024u
#define NAMESPACES_MAX 8u

/* NVMe: status code type << 8 | status code. */
enum {
	ST_LBA_RANGE = 0x080, ST_ZONE_BOUNDARY = 0x1b8, ST_ZONE_FULL = 0x1b9, ST_ZONE_READ_ONLY = 0x1ba, ST_ZONE_OFFLINE = 0x1bb,
	ST_ZONE_INVALID_WRITE = 0x1bc, ST_TOO_MANY_ACTIVE = 0x1bd, ST_TOO_MANY_OPEN = 0x1be, ST_ZONE_TRANSITION = 0x1bf,
	ST_WRITE_FAULT = 0x280, ST_UNRECOVERED_READ = 0x281, ST_INVALID_FIELD = 0x002, ST_INTERNAL = 0x006
};
enum { ZS_EMPTY = 1, ZS_IMPLICIT_OPEN = 2, ZS_EXPLICIT_OPEN = 3, ZS_CLOSED = 4, ZS_READ_ONLY = 13, ZS_FULL = 14, ZS_OFFLINE = 15 };
enum { OP_READ, OP_WRITE, OP_FLUSH, OP_APPEND, OP_REPORT, OP_SEND, OP_HEALTH };

struct zone { uint64_t write_pointer; uint64_t state; };
struct zones_header { char magic[8]; uint64_t zone_blocks, capacity_blocks, open_max, active_max; };

struct namespace {
	int fd;
	uint32_t nsid;
	uint64_t blocks;
	struct zones_header *header; /* mapped; NULL if it is not zoned */
	struct zone *zones;
	uint32_t zone_count;
	size_t mapped_bytes;
	struct controller *controller;
};
struct controller { int lock; char folder[512], address[64]; uint32_t queues; uint64_t reads, writes; struct namespace ns[NAMESPACES_MAX]; };
struct command { int op; uint64_t buffer, block, tag; uint32_t blocks, action; struct namespace *ns; };
struct queue { struct controller *controller; uint32_t depth, used; uint64_t order; struct command *commands; };
struct dma { struct dma *next; uint64_t address, bytes; };

/* couchestor_spdk_mock.c */
int32_t cs_mock_fail(int error, const char *format, ...);
int cs_mock_is_removed(const char *controller_folder);
int cs_mock_is_dma(uint64_t address, uint64_t bytes);

/* commands.c: 0, or an NVMe status. */
int cs_mock_is_listed(struct namespace *ns, const char *suffix, uint64_t block, uint32_t blocks);
uint32_t cs_mock_put(struct namespace *ns, struct command *c);

/* zones.c: 0, or an NVMe status; of the mapping, 0 or a negative errno. */
int cs_mock_map_zones(struct namespace *ns);
uint32_t cs_mock_write_zone(struct namespace *ns, struct command *c, uint64_t *result);
uint32_t cs_mock_send_zone(struct namespace *ns, struct command *c);
uint32_t cs_mock_report_zones(struct namespace *ns, struct command *c);
