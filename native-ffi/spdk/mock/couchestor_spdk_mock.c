/*
 * The driver of couchestor_spdk.h over files, for machines without SPDK, and for tests. Option: dir=FOLDER. A controller is a folder in it, named by
 * its address; namespace N is its file `nsN`, with `nsN.zones` beside it if it is zoned: a struct zones_header and a struct zone for each.
 *
 * It is as strict as a device: commands run when they are polled, in an order of its own; buffers must come from cs_dma_alloc; a zone is written at
 * its write pointer only, and counts against the limits. It fails on demand: a file `removed` in the controller's folder takes it away; `nsN.bad`
 * holds "block count" pairs, a line each, that can't be read, and `nsN.worn` such that can't be written; `slow` makes nothing complete.
 */
#define _GNU_SOURCE
#include "../couchestor_spdk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

static char folder[256];
static char last_error[512];
static struct dma *dma_list;

static int32_t fail(int error, const char *format, ...) {
	va_list list;
	va_start(list, format);
	vsnprintf(last_error, sizeof last_error, format, list);
	va_end(list);
	return -error;
}

uint32_t cs_abi_version(void) { return CS_ABI_VERSION; }
const char *cs_last_error(void) { return last_error; }

int32_t cs_init(const char *options) {
	struct stat st;
	if (folder[0]) return fail(EALREADY, "it was initialised already");
	if (strncmp(options, "dir=", 4) != 0 || strlen(options + 4) >= sizeof folder)
		return fail(EINVAL, "options: got \"%s\", allowed: dir=FOLDER", options);
	if (stat(options + 4, &st) != 0 || !S_ISDIR(st.st_mode)) return fail(ENOENT, "%s is not a folder", options + 4);
	strcpy(folder, options + 4);
	return 0;
}

void cs_fini(void) { folder[0] = 0; }

static int is_removed(const char *controller_folder) {
	char path[600];
	snprintf(path, sizeof path, "%s/removed", controller_folder);
	return access(path, F_OK) == 0;
}

static void describe(const char *address, const char *controller_folder, struct cs_controller_info *out) {
	memset(out, 0, sizeof *out);
	snprintf(out->address, sizeof out->address, "%s", address);
	snprintf(out->serial, sizeof out->serial, "MOCK-%.18s", address);
	snprintf(out->model, sizeof out->model, "CoucheStor mock");
	snprintf(out->firmware, sizeof out->firmware, "1");
	out->transfer_bytes_max = TRANSFER_BYTES_MAX;
	for (uint32_t nsid = 1; nsid <= NAMESPACES_MAX; nsid++) {
		char path[600];
		snprintf(path, sizeof path, "%s/ns%u", controller_folder, nsid);
		if (access(path, F_OK) == 0) out->namespaces++;
	}
}

int32_t cs_probe(struct cs_controller_info *out, uint32_t max) {
	DIR *dir = folder[0] ? opendir(folder) : NULL;
	int32_t found = 0;
	if (!dir) return fail(folder[0] ? errno : EINVAL, "the folder of controllers can't be read");
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char path[512];
		if (entry->d_name[0] == '.' || entry->d_type != DT_DIR || strlen(entry->d_name) >= 64) continue;
		if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || is_removed(path)) continue;
		if ((uint32_t)found < max) describe(entry->d_name, path, &out[found]);
		found++;
	}
	closedir(dir);
	return found;
}

int32_t cs_attach(const char *address, uint64_t *out) {
	struct controller *c;
	if (!folder[0]) return fail(EINVAL, "it is not initialised");
	if (strlen(address) >= 64 || strchr(address, '/') || address[0] == '.') return fail(EINVAL, "no address: %s", address);
	if (!(c = calloc(1, sizeof *c))) return fail(ENOMEM, "no memory");
	snprintf(c->folder, sizeof c->folder, "%s/%s", folder, address);
	snprintf(c->address, sizeof c->address, "%s", address);
	for (uint32_t i = 0; i < NAMESPACES_MAX; i++) c->ns[i].fd = -1;
	c->lock = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->lock < 0 || is_removed(c->folder)) {
		if (c->lock >= 0) close(c->lock);
		free(c);
		return fail(ENODEV, "there is no controller %s", address);
	}
	if (flock(c->lock, LOCK_EX | LOCK_NB) != 0) {
		close(c->lock);
		free(c);
		return fail(EBUSY, "another process has controller %s", address);
	}
	*out = (uint64_t)(uintptr_t)c;
	return 0;
}

int32_t cs_detach(uint64_t handle) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	if (c->queues > 0) return fail(EBUSY, "controller %s has %u open queues", c->address, c->queues);
	for (uint32_t i = 0; i < NAMESPACES_MAX; i++) {
		if (c->ns[i].header) munmap(c->ns[i].header, c->ns[i].mapped_bytes);
		if (c->ns[i].fd >= 0) close(c->ns[i].fd);
	}
	close(c->lock);
	free(c);
	return 0;
}

int32_t cs_describe(uint64_t handle, struct cs_controller_info *out) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	describe(c->address, c->folder, out);
	return 0;
}

static int map_zones(struct namespace *ns) {
	char path[600];
	struct stat st;
	int fd;
	snprintf(path, sizeof path, "%s/ns%u.zones", ns->controller->folder, ns->nsid);
	if ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0) return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(struct zones_header)) { close(fd); return -EIO; }
	ns->mapped_bytes = st.st_size;
	void *memory = mmap(NULL, ns->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED) return -ENOMEM;
	ns->header = memory;
	ns->zones = (struct zone *)(ns->header + 1);
	ns->zone_count = (ns->mapped_bytes - sizeof *ns->header) / sizeof(struct zone);
	return memcmp(ns->header->magic, "CSZONES1", 8) == 0 && ns->zone_count * ns->header->zone_blocks <= ns->blocks ? 0 : -EIO;
}

int32_t cs_namespace_open(uint64_t handle, uint32_t nsid, struct cs_namespace_info *out, uint64_t *out_namespace) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	struct stat st;
	char path[600];
	if (nsid < 1 || nsid > NAMESPACES_MAX) return fail(ENODEV, "controller %s has no namespace %u", c->address, nsid);
	struct namespace *ns = &c->ns[nsid - 1];
	if (ns->fd < 0) {
		snprintf(path, sizeof path, "%s/ns%u", c->folder, nsid);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) != 0) return fail(ENODEV, "controller %s has no namespace %u", c->address, nsid);
		ns->nsid = nsid;
		ns->blocks = st.st_size / BLOCK_BYTES;
		ns->controller = c;
		int error = map_zones(ns);
		if (error != 0) {
			if (ns->header) munmap(ns->header, ns->mapped_bytes);
			ns->header = NULL;
			close(fd);
			return fail(-error, "the zones of namespace %u of %s can't be read", nsid, c->address);
		}
		ns->fd = fd;
	}
	memset(out, 0, sizeof *out);
	out->blocks = ns->blocks;
	out->block_bytes = BLOCK_BYTES;
	out->nsid = nsid;
	if (ns->header) {
		out->zone_blocks = ns->header->zone_blocks;
		out->zones = ns->zone_count;
		out->active_zones_max = (uint32_t)ns->header->active_max;
		out->open_zones_max = (uint32_t)ns->header->open_max;
		out->append_bytes_max = TRANSFER_BYTES_MAX / 2;
	}
	*out_namespace = (uint64_t)(uintptr_t)ns;
	return 0;
}

uint64_t cs_dma_alloc(uint64_t bytes, uint64_t alignment) {
	struct dma *entry = malloc(sizeof *entry);
	void *memory = NULL;
	if (!entry || posix_memalign(&memory, alignment < 8 ? 8 : alignment, bytes) != 0) { free(entry); return 0; }
	/* Not zeros: nobody may rely on them. */
	memset(memory, 0xa5, bytes);
	*entry = (struct dma){ dma_list, (uint64_t)(uintptr_t)memory, bytes };
	dma_list = entry;
	return entry->address;
}

void cs_dma_free(uint64_t address) {
	for (struct dma **at = &dma_list; *at; at = &(*at)->next) {
		if ((*at)->address != address) continue;
		struct dma *entry = *at;
		*at = entry->next;
		free((void *)(uintptr_t)entry->address);
		free(entry);
		return;
	}
}

static int is_dma(uint64_t address, uint64_t bytes) {
	for (struct dma *entry = dma_list; entry; entry = entry->next)
		if (address >= entry->address && address - entry->address + bytes <= entry->bytes) return 1;
	return 0;
}

int32_t cs_queue_open(uint64_t handle, uint32_t depth, uint64_t *out) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	if (depth < 1 || depth > QUEUE_DEPTH_MAX) return fail(EINVAL, "depth: got %u, allowed: 1 to %u", depth, QUEUE_DEPTH_MAX);
	struct queue *q = calloc(1, sizeof *q);
	if (!q || !(q->commands = calloc(depth, sizeof *q->commands))) { free(q); return fail(ENOMEM, "no memory"); }
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
	if (is_removed(q->controller->folder)) return fail(ENXIO, "controller %s is gone", q->controller->address);
	if (bytes > TRANSFER_BYTES_MAX) return fail(EINVAL, "%llu bytes, at most %u in one command", (unsigned long long)bytes, TRANSFER_BYTES_MAX);
	if (bytes > 0 && !is_dma(command.buffer, bytes)) return fail(EFAULT, "a buffer that no device can reach");
	if (q->used == q->depth) return fail(ENOMEM, "the queue is full");
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
static int is_listed(struct namespace *ns, const char *suffix, uint64_t block, uint32_t blocks) {
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
static ssize_t put(int fd, void *buffer, size_t bytes, off_t at) { return pwrite(fd, buffer, bytes, at); }

static int is_open(uint64_t state) { return state == ZS_IMPLICIT_OPEN || state == ZS_EXPLICIT_OPEN; }

/* Takes the resources that a zone needs to be written; an implicitly opened zone is closed for it if all that may be open are. */
static uint32_t open_zone(struct namespace *ns, struct zone *zone, uint64_t state) {
	uint64_t active = 0, open = 0;
	struct zone *idle = NULL;
	if (is_open(zone->state)) { zone->state = state == ZS_EXPLICIT_OPEN ? state : zone->state; return 0; }
	for (uint32_t i = 0; i < ns->zone_count; i++) {
		if (is_open(ns->zones[i].state)) open++;
		if (is_open(ns->zones[i].state) || ns->zones[i].state == ZS_CLOSED) active++;
		if (ns->zones[i].state == ZS_IMPLICIT_OPEN) idle = &ns->zones[i];
	}
	if (zone->state != ZS_CLOSED && ns->header->active_max > 0 && active >= ns->header->active_max) return ST_TOO_MANY_ACTIVE;
	if (ns->header->open_max > 0 && open >= ns->header->open_max) {
		if (!idle) return ST_TOO_MANY_OPEN;
		idle->state = ZS_CLOSED;
	}
	zone->state = state;
	return 0;
}

static uint32_t write_zone(struct namespace *ns, struct command *c, uint64_t *result) {
	uint64_t index = c->block / ns->header->zone_blocks;
	if (index >= ns->zone_count) return ST_LBA_RANGE;
	struct zone *zone = &ns->zones[index];
	uint64_t start = index * ns->header->zone_blocks;
	if (c->op == OP_APPEND && c->block != start) return ST_INVALID_FIELD;
	if (zone->state == ZS_FULL) return ST_ZONE_FULL;
	if (zone->state == ZS_READ_ONLY) return ST_ZONE_READ_ONLY;
	if (zone->state == ZS_OFFLINE) return ST_ZONE_OFFLINE;
	if (c->op == OP_WRITE && c->block != zone->write_pointer) return ST_ZONE_INVALID_WRITE;
	if (zone->write_pointer + c->blocks > start + ns->header->capacity_blocks) return ST_ZONE_BOUNDARY;
	uint32_t status = open_zone(ns, zone, ZS_IMPLICIT_OPEN);
	if (status != 0) return status;
	c->block = *result = zone->write_pointer;
	if (is_listed(ns, "worn", c->block, c->blocks)) return ST_WRITE_FAULT;
	if ((status = all_of(put, ns, c)) != 0) return status;
	zone->write_pointer += c->blocks;
	if (zone->write_pointer == start + ns->header->capacity_blocks) zone->state = ZS_FULL;
	return 0;
}

static uint32_t send_zone(struct namespace *ns, struct command *c) {
	uint64_t index = c->block / ns->header->zone_blocks;
	if (index >= ns->zone_count || c->block % ns->header->zone_blocks != 0) return ST_INVALID_FIELD;
	struct zone *zone = &ns->zones[index];
	if (zone->state == ZS_OFFLINE || zone->state == ZS_READ_ONLY) return ST_ZONE_TRANSITION;
	switch (c->action) {
	case CS_ZONE_RESET:
		*zone = (struct zone){ c->block, ZS_EMPTY };
		return 0;
	case CS_ZONE_FINISH:
		*zone = (struct zone){ c->block + ns->header->capacity_blocks, ZS_FULL };
		return 0;
	case CS_ZONE_OPEN:
		return zone->state == ZS_FULL ? ST_ZONE_TRANSITION : open_zone(ns, zone, ZS_EXPLICIT_OPEN);
	case CS_ZONE_CLOSE:
		if (!is_open(zone->state) && zone->state != ZS_CLOSED) return ST_ZONE_TRANSITION;
		zone->state = zone->write_pointer == c->block ? ZS_EMPTY : ZS_CLOSED;
		return 0;
	}
	return ST_INVALID_FIELD;
}

static uint32_t report_zones(struct namespace *ns, struct command *c) {
	uint8_t *out = (uint8_t *)(uintptr_t)c->buffer;
	uint64_t first = c->block / ns->header->zone_blocks, count = ns->zone_count - first;
	if (first >= ns->zone_count) return ST_LBA_RANGE;
	memset(out, 0, c->blocks); /* bytes, here */
	memcpy(out, &count, 8);
	for (uint64_t i = first, at = 64; i < ns->zone_count && at + 64 <= c->blocks; i++, at += 64) {
		uint64_t start = i * ns->header->zone_blocks;
		uint64_t pointer = ns->zones[i].state == ZS_FULL ? UINT64_MAX : ns->zones[i].write_pointer;
		out[at] = 2;
		out[at + 1] = (uint8_t)(ns->zones[i].state << 4);
		memcpy(out + at + 8, &ns->header->capacity_blocks, 8);
		memcpy(out + at + 16, &start, 8);
		memcpy(out + at + 24, &pointer, 8);
	}
	return 0;
}

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
	if (c->op == OP_REPORT) return report_zones(ns, c);
	if (c->op == OP_SEND) return send_zone(ns, c);
	if (c->blocks == 0 || c->block >= ns->blocks || c->blocks > ns->blocks - c->block) return ST_LBA_RANGE;
	if (c->op == OP_READ) {
		controller->reads++;
		if (ns->header && ns->zones[c->block / ns->header->zone_blocks].state == ZS_OFFLINE) return ST_ZONE_OFFLINE;
		return is_listed(ns, "bad", c->block, c->blocks) ? ST_UNRECOVERED_READ : all_of(pread, ns, c);
	}
	controller->writes++;
	if (ns->header) return write_zone(ns, c, result);
	return is_listed(ns, "worn", c->block, c->blocks) ? ST_WRITE_FAULT : all_of(put, ns, c);
}

int32_t cs_poll(uint64_t handle, struct cs_completion *out, uint32_t max) {
	struct queue *q = (struct queue *)(uintptr_t)handle;
	char path[600];
	uint32_t done = 0;
	if (is_removed(q->controller->folder)) return fail(ENXIO, "controller %s is gone", q->controller->address);
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
