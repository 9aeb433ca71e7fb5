/* The zones of a namespace: their states, their write pointers, and how many may be open and active. */
#include "mock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int cs_mock_map_zones(struct namespace *ns) {
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
	if (memcmp(ns->header->magic, "CSZONES1", 8) != 0 || ns->zone_count == 0) return -EIO;
	return ns->header->zone_blocks > 0 && ns->header->zone_blocks <= ns->blocks / ns->zone_count ? 0 : -EIO;
}

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

uint32_t cs_mock_write_zone(struct namespace *ns, struct command *c, uint64_t *result) {
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
	if (cs_mock_is_listed(ns, "worn", c->block, c->blocks)) return ST_WRITE_FAULT;
	if ((status = cs_mock_put(ns, c)) != 0) return status;
	zone->write_pointer += c->blocks;
	if (zone->write_pointer == start + ns->header->capacity_blocks) zone->state = ZS_FULL;
	return 0;
}

uint32_t cs_mock_send_zone(struct namespace *ns, struct command *c) {
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

uint32_t cs_mock_report_zones(struct namespace *ns, struct command *c) {
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
