/*
 * The driver of couchestor_spdk.h over files, for machines without SPDK, and for tests. Option: dir=FOLDER. A controller is a folder in it, named by
 * its address; namespace N is its file `nsN`, with `nsN.zones` beside it if it is zoned: a struct zones_header and a struct zone for each.
 *
 * It is as strict as a device: commands run when they are polled, in an order of its own; buffers must come from cs_dma_alloc; a zone is written at
 * its write pointer only, and counts against the limits. It fails on demand: a file `removed` in the controller's folder takes it away; `nsN.bad`
 * holds "block count" pairs, a line each, that can't be read, and `nsN.worn` such that can't be written; `slow` makes nothing complete.
 */
#include "mock.h"
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

static char folder[256];
static char last_error[512];
static struct dma *dma_list;

int32_t cs_mock_fail(int error, const char *format, ...) {
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
	if (folder[0]) return cs_mock_fail(EALREADY, "it was initialised already");
	if (strncmp(options, "dir=", 4) != 0 || strlen(options + 4) >= sizeof folder)
		return cs_mock_fail(EINVAL, "options: got \"%s\", allowed: dir=FOLDER", options);
	if (stat(options + 4, &st) != 0 || !S_ISDIR(st.st_mode)) return cs_mock_fail(ENOENT, "%s is not a folder", options + 4);
	strcpy(folder, options + 4);
	return 0;
}

void cs_fini(void) { folder[0] = 0; }

int cs_mock_is_removed(const char *controller_folder) {
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
	if (!dir) return cs_mock_fail(folder[0] ? errno : EINVAL, "the folder of controllers can't be read");
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char path[512];
		if (entry->d_name[0] == '.' || entry->d_type != DT_DIR || strlen(entry->d_name) >= 64) continue;
		if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || cs_mock_is_removed(path)) continue;
		if ((uint32_t)found < max) describe(entry->d_name, path, &out[found]);
		found++;
	}
	closedir(dir);
	return found;
}

int32_t cs_attach(const char *address, uint64_t *out) {
	struct controller *c;
	if (!folder[0]) return cs_mock_fail(EINVAL, "it is not initialised");
	if (strlen(address) >= 64 || strchr(address, '/') || address[0] == '.') return cs_mock_fail(EINVAL, "no address: %s", address);
	if (!(c = calloc(1, sizeof *c))) return cs_mock_fail(ENOMEM, "no memory");
	snprintf(c->folder, sizeof c->folder, "%s/%s", folder, address);
	snprintf(c->address, sizeof c->address, "%s", address);
	for (uint32_t i = 0; i < NAMESPACES_MAX; i++) c->ns[i].fd = -1;
	c->lock = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->lock < 0 || cs_mock_is_removed(c->folder)) {
		if (c->lock >= 0) close(c->lock);
		free(c);
		return cs_mock_fail(ENODEV, "there is no controller %s", address);
	}
	if (flock(c->lock, LOCK_EX | LOCK_NB) != 0) {
		close(c->lock);
		free(c);
		return cs_mock_fail(EBUSY, "another process has controller %s", address);
	}
	*out = (uint64_t)(uintptr_t)c;
	return 0;
}

int32_t cs_detach(uint64_t handle) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	if (c->queues > 0) return cs_mock_fail(EBUSY, "controller %s has %u open queues", c->address, c->queues);
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

int32_t cs_namespace_open(uint64_t handle, uint32_t nsid, struct cs_namespace_info *out, uint64_t *out_namespace) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	struct stat st;
	char path[600];
	if (nsid < 1 || nsid > NAMESPACES_MAX) return cs_mock_fail(ENODEV, "controller %s has no namespace %u", c->address, nsid);
	struct namespace *ns = &c->ns[nsid - 1];
	if (ns->fd < 0) {
		snprintf(path, sizeof path, "%s/ns%u", c->folder, nsid);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) != 0) return cs_mock_fail(ENODEV, "controller %s has no namespace %u", c->address, nsid);
		ns->nsid = nsid;
		ns->blocks = st.st_size / BLOCK_BYTES;
		ns->controller = c;
		int error = cs_mock_map_zones(ns);
		if (error != 0) {
			if (ns->header) munmap(ns->header, ns->mapped_bytes);
			ns->header = NULL;
			close(fd);
			return cs_mock_fail(-error, "the zones of namespace %u of %s can't be read", nsid, c->address);
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

int cs_mock_is_dma(uint64_t address, uint64_t bytes) {
	for (struct dma *entry = dma_list; entry; entry = entry->next)
		if (address >= entry->address && address - entry->address + bytes <= entry->bytes) return 1;
	return 0;
}
