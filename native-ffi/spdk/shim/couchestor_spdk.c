/*
 * couchestor_spdk.h over SPDK's NVMe driver, for local (PCIe) controllers that are bound to vfio-pci or uio_pci_generic.
 * Options: "memory-mb=N,cores=0x1,hugedir=PATH,iova-mode=pa|va", each optional.
 */
#define _GNU_SOURCE
#include "../couchestor_spdk.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "spdk/env.h"
#include "spdk/nvme.h"
#include "spdk/nvme_zns.h"
#include "spdk/string.h"

/* Admin completions, by which a controller's failure is noticed, are looked at once in so many polls. */
#define ADMIN_EVERY 64
#define QUEUE_DEPTH_MAX 1024u
#define MAIN_MEMORY_MB 128

struct controller { struct spdk_nvme_ctrlr *ctrlr; uint32_t queues; char address[64]; };
struct request { struct queue *queue; struct cs_completion completion; struct request *next; };
struct queue {
	struct controller *controller;
	struct spdk_nvme_qpair *qpair;
	/* A request is free, at the device, or done and not fetched; those done are in a list with an end. */
	struct request *requests, *free, *done, **done_end;
	uint32_t polls;
	uint32_t out; /* at the device */
	bool closing;
};

static char last_error[512];
static bool running;

static int32_t fail(int error, const char *format, ...) {
	va_list list;
	va_start(list, format);
	vsnprintf(last_error, sizeof last_error, format, list);
	va_end(list);
	return -error;
}

uint32_t cs_abi_version(void) { return CS_ABI_VERSION; }
const char *cs_last_error(void) { return last_error; }

/* Sets one option; the text stays for as long as SPDK may look at it. */
static int32_t set_option(struct spdk_env_opts *opts, char *key, char *value) {
	if (strcmp(key, "memory-mb") == 0) opts->mem_size = atoi(value);
	else if (strcmp(key, "cores") == 0) opts->core_mask = value;
	else if (strcmp(key, "hugedir") == 0) opts->hugedir = value;
	else if (strcmp(key, "iova-mode") == 0) opts->iova_mode = value;
	else return fail(EINVAL, "options: \"%s\" is not known; allowed: memory-mb, cores, hugedir, iova-mode", key);
	return 0;
}

int32_t cs_init(const char *options) {
	static char text[1024];
	struct spdk_env_opts opts;
	char *rest = text;
	if (running) return fail(EALREADY, "it was initialised already");
	if (strlen(options) >= sizeof text) return fail(EINVAL, "options: more than %zu characters", sizeof text - 1);
	strcpy(text, options);
	spdk_env_opts_init(&opts);
	opts.name = "couchestor";
	opts.shm_id = -1;
	opts.mem_size = MAIN_MEMORY_MB;
	for (char *pair; (pair = strsep(&rest, ",")) != NULL;) {
		char *value = strchr(pair, '=');
		if (*pair == 0) continue;
		if (!value) return fail(EINVAL, "options: got \"%s\", allowed: key=value", pair);
		*value++ = 0;
		int32_t error = set_option(&opts, pair, value);
		if (error < 0) return error;
	}
	int error = spdk_env_init(&opts);
	/* Its caller has an event loop and threads of its own, which go on running wherever they like. */
	spdk_unaffinitize_thread();
	if (error < 0) return fail(-error, "SPDK's environment did not start, for the reason it gave on standard error; are there huge pages, and is this root?");
	running = true;
	return 0;
}

void cs_fini(void) {
	if (running) spdk_env_fini();
	running = false;
}

struct probing { struct cs_controller_info *out; uint32_t max, found; };

static bool on_probe(void *context, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr_opts *opts) {
	struct probing *probing = context;
	(void)opts;
	if (probing->found < probing->max) {
		struct cs_controller_info *info = &probing->out[probing->found];
		memset(info, 0, sizeof *info);
		snprintf(info->address, sizeof info->address, "%.63s", trid->traddr);
	}
	probing->found++;
	return false;
}
static void on_attach(void *context, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr, const struct spdk_nvme_ctrlr_opts *opts) {
	(void)context; (void)trid; (void)ctrlr; (void)opts;
}

int32_t cs_probe(struct cs_controller_info *out, uint32_t max) {
	struct probing probing = { out, max, 0 };
	if (!running) return fail(EINVAL, "it is not initialised");
	if (spdk_nvme_probe(NULL, &probing, on_probe, on_attach, NULL) != 0) return fail(EIO, "SPDK could not look for controllers");
	return (int32_t)probing.found;
}

int32_t cs_attach(const char *address, uint64_t *out) {
	struct spdk_nvme_transport_id trid = { 0 };
	struct spdk_nvme_ctrlr_opts opts;
	if (!running) return fail(EINVAL, "it is not initialised");
	if (strlen(address) >= sizeof ((struct controller *)0)->address) return fail(EINVAL, "no address: %s", address);
	spdk_nvme_trid_populate_transport(&trid, SPDK_NVME_TRANSPORT_PCIE);
	snprintf(trid.traddr, sizeof trid.traddr, "%s", address);
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof opts);
	opts.keep_alive_timeout_ms = 0;
	struct controller *c = calloc(1, sizeof *c);
	if (!c) return fail(ENOMEM, "no memory");
	if (!(c->ctrlr = spdk_nvme_connect(&trid, &opts, sizeof opts))) {
		free(c);
		return fail(ENODEV, "SPDK could not attach %s: is it bound to vfio-pci or uio_pci_generic, and used by nobody else?", address);
	}
	strcpy(c->address, address);
	*out = (uint64_t)(uintptr_t)c;
	return 0;
}

int32_t cs_detach(uint64_t handle) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	if (c->queues > 0) return fail(EBUSY, "controller %s has %u open queues", c->address, c->queues);
	spdk_nvme_detach(c->ctrlr);
	free(c);
	return 0;
}

/* NVMe's texts are padded with spaces and not terminated. */
static void copy_text(char *to, size_t size, const int8_t *from, size_t length) {
	while (length > 0 && (from[length - 1] == ' ' || from[length - 1] == 0)) length--;
	if (length >= size) length = size - 1;
	memcpy(to, from, length);
	to[length] = 0;
}

int32_t cs_describe(uint64_t handle, struct cs_controller_info *out) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(c->ctrlr);
	memset(out, 0, sizeof *out);
	snprintf(out->address, sizeof out->address, "%s", c->address);
	copy_text(out->serial, sizeof out->serial, data->sn, sizeof data->sn);
	copy_text(out->model, sizeof out->model, data->mn, sizeof data->mn);
	copy_text(out->firmware, sizeof out->firmware, (const int8_t *)data->fr, sizeof data->fr);
	for (uint32_t nsid = spdk_nvme_ctrlr_get_first_active_ns(c->ctrlr); nsid != 0; nsid = spdk_nvme_ctrlr_get_next_active_ns(c->ctrlr, nsid))
		out->namespaces++;
	out->transfer_bytes_max = spdk_nvme_ctrlr_get_max_xfer_size(c->ctrlr);
	return 0;
}

int32_t cs_namespace_open(uint64_t handle, uint32_t nsid, struct cs_namespace_info *out, uint64_t *out_namespace) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(c->ctrlr, nsid);
	if (!ns || !spdk_nvme_ns_is_active(ns)) return fail(ENODEV, "controller %s has no active namespace %u", c->address, nsid);
	if (spdk_nvme_ns_get_md_size(ns) != 0) return fail(EINVAL, "namespace %u of %s is formatted with metadata, which is not used here", nsid, c->address);
	memset(out, 0, sizeof *out);
	out->blocks = spdk_nvme_ns_get_num_sectors(ns);
	out->block_bytes = spdk_nvme_ns_get_sector_size(ns);
	out->nsid = nsid;
	if (spdk_nvme_ns_get_csi(ns) == SPDK_NVME_CSI_ZNS) {
		uint32_t active = spdk_nvme_zns_ns_get_max_active_zones(ns), open = spdk_nvme_zns_ns_get_max_open_zones(ns);
		out->zone_blocks = spdk_nvme_zns_ns_get_zone_size_sectors(ns);
		out->zones = (uint32_t)spdk_nvme_zns_ns_get_num_zones(ns);
		out->active_zones_max = active == UINT32_MAX ? 0 : active;
		out->open_zones_max = open == UINT32_MAX ? 0 : open;
		out->append_bytes_max = spdk_nvme_zns_ctrlr_get_max_zone_append_size(c->ctrlr);
	}
	*out_namespace = (uint64_t)(uintptr_t)ns;
	return 0;
}

uint64_t cs_dma_alloc(uint64_t bytes, uint64_t alignment) { return (uint64_t)(uintptr_t)spdk_dma_malloc(bytes, alignment, NULL); }
void cs_dma_free(uint64_t address) { spdk_dma_free((void *)(uintptr_t)address); }

int32_t cs_queue_open(uint64_t handle, uint32_t depth, uint64_t *out) {
	struct controller *c = (struct controller *)(uintptr_t)handle;
	struct spdk_nvme_io_qpair_opts opts;
	if (depth < 1 || depth > QUEUE_DEPTH_MAX) return fail(EINVAL, "depth: got %u, allowed: 1 to %u", depth, QUEUE_DEPTH_MAX);
	struct queue *q = calloc(1, sizeof *q);
	if (!q || !(q->requests = calloc(depth, sizeof *q->requests))) { free(q); return fail(ENOMEM, "no memory"); }
	spdk_nvme_ctrlr_get_default_io_qpair_opts(c->ctrlr, &opts, sizeof opts);
	if (opts.io_queue_size < depth + 1) opts.io_queue_size = depth + 1;
	/* A command may be split where the device wants it. */
	if (opts.io_queue_requests < depth * 4) opts.io_queue_requests = depth * 4;
	if (!(q->qpair = spdk_nvme_ctrlr_alloc_io_qpair(c->ctrlr, &opts, sizeof opts))) {
		free(q->requests);
		free(q);
		return fail(ENXIO, "controller %s gives no queue", c->address);
	}
	for (uint32_t i = 0; i < depth; i++) {
		q->requests[i] = (struct request){ .queue = q, .next = q->free };
		q->free = &q->requests[i];
	}
	q->controller = c;
	q->done_end = &q->done;
	c->queues++;
	*out = (uint64_t)(uintptr_t)q;
	return 0;
}

int32_t cs_queue_close(uint64_t handle) {
	struct queue *q = (struct queue *)(uintptr_t)handle;
	q->closing = true;
	/* Aborts what is out, and calls back for it. */
	spdk_nvme_ctrlr_free_io_qpair(q->qpair);
	q->controller->queues--;
	/* What went to the controller's own queue, the health page, is not aborted: its end comes later, and finds its request. */
	if (q->out > 0) return 0;
	free(q->requests);
	free(q);
	return 0;
}

static void complete(void *argument, const struct spdk_nvme_cpl *cpl) {
	struct request *request = argument;
	struct queue *q = request->queue;
	q->out--;
	if (q->closing) return;
	request->completion.result = (uint64_t)cpl->cdw1 << 32 | cpl->cdw0;
	if (spdk_nvme_cpl_is_error(cpl)) request->completion.status = (uint32_t)cpl->status.sct << 8 | cpl->status.sc;
	request->next = NULL;
	*q->done_end = request;
	q->done_end = &request->next;
}

/* A request for a command on a buffer of so many bytes, or NULL with the reason in *error. */
static struct request *take(uint64_t handle, uint64_t buffer, uint64_t bytes, uint64_t tag, int32_t *error) {
	struct queue *q = (struct queue *)(uintptr_t)handle;
	if (spdk_nvme_ctrlr_is_failed(q->controller->ctrlr)) { *error = fail(ENXIO, "controller %s has failed", q->controller->address); return NULL; }
	if (!q->free) { *error = fail(ENOMEM, "the queue is full"); return NULL; }
	if (bytes > 0 && (spdk_vtophys((void *)(uintptr_t)buffer, NULL) == SPDK_VTOPHYS_ERROR ||
			  spdk_vtophys((void *)(uintptr_t)(buffer + bytes - 1), NULL) == SPDK_VTOPHYS_ERROR)) {
		*error = fail(EFAULT, "a buffer that no device can reach");
		return NULL;
	}
	struct request *request = q->free;
	q->free = request->next;
	q->out++;
	request->completion = (struct cs_completion){ .tag = tag };
	return request;
}

/* Gives the request back if the command was not taken. */
static int32_t sent(struct request *request, int result) {
	if (result == 0) return 0;
	request->next = request->queue->free;
	request->queue->free = request;
	request->queue->out--;
	return fail(-result, "the command was not taken: %s", spdk_strerror(-result));
}

#define NS(ns) ((struct spdk_nvme_ns *)(uintptr_t)(ns))
#define BUFFER(buffer) ((void *)(uintptr_t)(buffer))
#define QPAIR(request) ((request)->queue->qpair)
#define COMMAND(bytes, call)                                                     \
	int32_t error = 0;                                                       \
	struct request *request = take(queue, buffer, bytes, tag, &error);       \
	return request ? sent(request, call) : error

int32_t cs_read(uint64_t queue, uint64_t ns, uint64_t buffer, uint64_t block, uint32_t blocks, uint64_t tag) {
	COMMAND((uint64_t)blocks * spdk_nvme_ns_get_sector_size(NS(ns)), spdk_nvme_ns_cmd_read(NS(ns), QPAIR(request), BUFFER(buffer), block, blocks, complete, request, 0));
}
int32_t cs_write(uint64_t queue, uint64_t ns, uint64_t buffer, uint64_t block, uint32_t blocks, uint64_t tag) {
	COMMAND((uint64_t)blocks * spdk_nvme_ns_get_sector_size(NS(ns)), spdk_nvme_ns_cmd_write(NS(ns), QPAIR(request), BUFFER(buffer), block, blocks, complete, request, 0));
}
int32_t cs_flush(uint64_t queue, uint64_t ns, uint64_t tag) {
	uint64_t buffer = 0;
	COMMAND(0, spdk_nvme_ns_cmd_flush(NS(ns), QPAIR(request), complete, request));
}
int32_t cs_zone_append(uint64_t queue, uint64_t ns, uint64_t buffer, uint64_t zone_block, uint32_t blocks, uint64_t tag) {
	COMMAND((uint64_t)blocks * spdk_nvme_ns_get_sector_size(NS(ns)), spdk_nvme_zns_zone_append(NS(ns), QPAIR(request), BUFFER(buffer), zone_block, blocks, complete, request, 0));
}
int32_t cs_zone_report(uint64_t queue, uint64_t ns, uint64_t buffer, uint32_t bytes, uint64_t block, uint64_t tag) {
	COMMAND(bytes, spdk_nvme_zns_report_zones(NS(ns), QPAIR(request), BUFFER(buffer), bytes, block, SPDK_NVME_ZRA_LIST_ALL, true, complete, request));
}
int32_t cs_health_page(uint64_t queue, uint64_t buffer, uint64_t tag) {
	COMMAND(512, spdk_nvme_ctrlr_cmd_get_log_page(request->queue->controller->ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, SPDK_NVME_GLOBAL_NS_TAG, BUFFER(buffer), 512, 0, complete, request));
}

static int zone_action(struct request *request, uint64_t ns, uint64_t block, uint32_t action) {
	switch (action) {
	case CS_ZONE_CLOSE: return spdk_nvme_zns_close_zone(NS(ns), QPAIR(request), block, false, complete, request);
	case CS_ZONE_FINISH: return spdk_nvme_zns_finish_zone(NS(ns), QPAIR(request), block, false, complete, request);
	case CS_ZONE_OPEN: return spdk_nvme_zns_open_zone(NS(ns), QPAIR(request), block, false, complete, request);
	case CS_ZONE_RESET: return spdk_nvme_zns_reset_zone(NS(ns), QPAIR(request), block, false, complete, request);
	}
	return -EINVAL;
}
int32_t cs_zone_send(uint64_t queue, uint64_t ns, uint64_t block, uint32_t action, uint64_t tag) {
	uint64_t buffer = 0;
	COMMAND(0, zone_action(request, ns, block, action));
}

int32_t cs_poll(uint64_t handle, struct cs_completion *out, uint32_t max) {
	struct queue *q = (struct queue *)(uintptr_t)handle;
	bool is_gone = spdk_nvme_qpair_process_completions(q->qpair, 0) < 0;
	uint32_t given = 0;
	if (q->polls++ % ADMIN_EVERY == 0 && spdk_nvme_ctrlr_process_admin_completions(q->controller->ctrlr) < 0) is_gone = true;
	while (given < max && q->done) {
		struct request *request = q->done;
		out[given++] = request->completion;
		q->done = request->next;
		if (!q->done) q->done_end = &q->done;
		request->next = q->free;
		q->free = request;
	}
	return given == 0 && is_gone ? fail(ENXIO, "controller %s is gone", q->controller->address) : (int32_t)given;
}
