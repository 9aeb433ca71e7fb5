/* Queues and commands: taken in order, run when they are polled, completed in another order. */
#include "mock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int32_t cs_queue_open(uint64_t handle, uint32_t depth, uint64_t *out) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	if (depth < 1 || depth > QUEUE_DEPTH_MAX) return cs_mock_fail(EINVAL, "depth: got %u, allowed: 1 to %u", depth, QUEUE_DEPTH_MAX);
	struct queue *q = calloc(1, sizeof *q);
	if (!q || !(q->commands = calloc(depth, sizeof *q->commands))) { free(q); return cs_mock_fail(ENOMEM, "no memory"); }
	q->controller = c;
	q->depth = depth;
	q->order = 88172645463325252ull;
	c->queues++;
	*out = (uint64_t)(uintptr_t)q;
	return 0;
}

int32_t cs_queue_close(uint64_t handle) {
	struct queue *q = (struct queue *)(uintptr_t)handle;
	q->controller->queues--;
	free(q->commands);
	free(q);
	return 0;
}

static int32_t submit(uint64_t handle, struct command command, uint64_t bytes) {
	struct queue *q = (struct queue *)(uintptr_t)handle;
	if (cs_mock_is_removed(q->controller->folder)) return cs_mock_fail(ENXIO, "controller %s is gone", q->controller->address);
	if (bytes > TRANSFER_BYTES_MAX) return cs_mock_fail(EINVAL, "%llu bytes, at most %u in one command", (unsigned long long)bytes, TRANSFER_BYTES_MAX);
	if (bytes > 0 && !cs_mock_is_dma(command.buffer, bytes)) return cs_mock_fail(EFAULT, "a buffer that no device can reach");
	if (q->used == q->depth) return cs_mock_fail(ENOMEM, "the queue is full");
	q->commands[q->used++] = command;
	return 0;
}

#define NS(ns) ((struct namespace *)(uintptr_t)(ns))
int32_t cs_read(uint64_t q, uint64_t ns, uint64_t buffer, uint64_t block, uint32_t blocks, uint64_t tag) {
	return submit(q, (struct command){ OP_READ, buffer, block, tag, blocks, 0, NS(ns) }, (uint64_t)blocks * BLOCK_BYTES);
}
int32_t cs_write(uint64_t q, uint64_t ns, uint64_t buffer, uint64_t block, uint32_t blocks, uint64_t tag) {
	return submit(q, (struct command){ OP_WRITE, buffer, block, tag, blocks, 0, NS(ns) }, (uint64_t)blocks * BLOCK_BYTES);
}
int32_t cs_flush(uint64_t q, uint64_t ns, uint64_t tag) {
	return submit(q, (struct command){ OP_FLUSH, 0, 0, tag, 0, 0, NS(ns) }, 0);
}
int32_t cs_zone_append(uint64_t q, uint64_t ns, uint64_t buffer, uint64_t zone_block, uint32_t blocks, uint64_t tag) {
	return submit(q, (struct command){ OP_APPEND, buffer, zone_block, tag, blocks, 0, NS(ns) }, (uint64_t)blocks * BLOCK_BYTES);
}
int32_t cs_zone_report(uint64_t q, uint64_t ns, uint64_t buffer, uint32_t bytes, uint64_t block, uint64_t tag) {
	return submit(q, (struct command){ OP_REPORT, buffer, block, tag, bytes, 0, NS(ns) }, bytes);
}
int32_t cs_zone_send(uint64_t q, uint64_t ns, uint64_t block, uint32_t action, uint64_t tag) {
	return submit(q, (struct command){ OP_SEND, 0, block, tag, 0, action, NS(ns) }, 0);
}
int32_t cs_health_page(uint64_t q, uint64_t buffer, uint64_t tag) {
	return submit(q, (struct command){ OP_HEALTH, buffer, 0, tag, 0, 0, NULL }, 512);
}

/* Whether any of the blocks is listed in `nsN.SUFFIX`. */
int cs_mock_is_listed(struct namespace *ns, const char *suffix, uint64_t block, uint32_t blocks) {
	char path[600];
	unsigned long long from, count;
	int hit = 0;
	snprintf(path, sizeof path, "%s/ns%u.%s", ns->controller->folder, ns->nsid, suffix);
	FILE *file = fopen(path, "re");
	if (!file) return 0;
	while (!hit && fscanf(file, "%llu %llu", &from, &count) == 2) hit = from < block + blocks && block < from + count;
	fclose(file);
	return hit;
}

static uint32_t all_of(ssize_t (*move)(int, void *, size_t, off_t), struct namespace *ns, struct command *c) {
	size_t done = 0, bytes = (size_t)c->blocks * BLOCK_BYTES;
	while (done < bytes) {
		ssize_t got = move(ns->fd, (char *)(uintptr_t)c->buffer + done, bytes - done, c->block * BLOCK_BYTES + done);
		if (got <= 0) return ST_INTERNAL;
		done += got;
	}
	return 0;
}
static ssize_t write_at(int fd, void *buffer, size_t bytes, off_t at) { return pwrite(fd, buffer, bytes, at); }

/* Writes where the command says, whatever is there. */
uint32_t cs_mock_put(struct namespace *ns, struct command *c) { return all_of(write_at, ns, c); }

static void health(struct controller *c, uint8_t *out) {
	memset(out, 0, 512);
	out[1] = 300 & 0xff; /* kelvin */
	out[2] = 300 >> 8;
	out[3] = 100; /* spare, % */
	out[4] = 10;
	memcpy(out + 64, &c->reads, 8);
	memcpy(out + 80, &c->writes, 8);
}

static uint32_t run(struct controller *controller, struct command *c, uint64_t *result) {
	struct namespace *ns = c->ns;
	if (c->op == OP_HEALTH) { health(controller, (uint8_t *)(uintptr_t)c->buffer); return 0; }
	if (c->op == OP_FLUSH) return fdatasync(ns->fd) == 0 && (!ns->header || msync(ns->header, ns->mapped_bytes, MS_SYNC) == 0) ? 0 : ST_INTERNAL;
	if (c->op >= OP_APPEND && !ns->header) return ST_INVALID_FIELD;
	if (c->op == OP_REPORT) return cs_mock_report_zones(ns, c);
	if (c->op == OP_SEND) return cs_mock_send_zone(ns, c);
	if (c->blocks == 0 || c->block >= ns->blocks || c->blocks > ns->blocks - c->block) return ST_LBA_RANGE;
	if (c->op == OP_READ) {
		controller->reads++;
		if (ns->header && ns->zones[c->block / ns->header->zone_blocks].state == ZS_OFFLINE) return ST_ZONE_OFFLINE;
		return cs_mock_is_listed(ns, "bad", c->block, c->blocks) ? ST_UNRECOVERED_READ : all_of(pread, ns, c);
	}
	controller->writes++;
	if (ns->header) return cs_mock_write_zone(ns, c, result);
	return cs_mock_is_listed(ns, "worn", c->block, c->blocks) ? ST_WRITE_FAULT : cs_mock_put(ns, c);
}

int32_t cs_poll(uint64_t handle, struct cs_completion *out, uint32_t max) {
	struct queue *q = (struct queue *)(uintptr_t)handle;
	char path[600];
	uint32_t done = 0;
	if (cs_mock_is_removed(q->controller->folder)) return cs_mock_fail(ENXIO, "controller %s is gone", q->controller->address);
	snprintf(path, sizeof path, "%s/slow", q->controller->folder);
	if (access(path, F_OK) == 0) return 0;
	while (done < max && q->used > 0) {
		/* Devices complete in any order. */
		q->order ^= q->order << 13;
		q->order ^= q->order >> 7;
		q->order ^= q->order << 17;
		uint32_t pick = (uint32_t)(q->order % q->used);
		struct command command = q->commands[pick];
		q->commands[pick] = q->commands[--q->used];
		out[done] = (struct cs_completion){ command.tag, 0, 0, 0 };
		out[done].status = run(q->controller, &command, &out[done].result);
		done++;
	}
	return (int32_t)done;
}
