# CoucheStor. `make` lists what there is. Needs git, make, Node and npm; brings everything else into this folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test check build bench clean

BUN := node_modules/.bin/bun
NPM_READY := node_modules/.ready
DEPS_READY := .deps/.ready
DEPS_SOURCES := $(shell find deploy/deps -type f 2>/dev/null)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(NPM_READY) $(DEPS_READY) ## Bring Bun and the npm packages, and unpack the Debian libraries into .deps/ (no root)

$(NPM_READY): package.json package-lock.json common/package.json native-ffi/package.json agent/package.json brain/package.json
	@deploy/build/install-npm
	@touch $@

$(DEPS_READY): $(NPM_READY) $(DEPS_SOURCES)
	@if [ -x deploy/deps/fetch ]; then deploy/deps/fetch; fi
	@mkdir -p $(@D) && touch $@

demo: setup ## The main job on real data: import, lose nodes, read, rebuild, scrub (FILE=… for a file of yours)
	@$(BUN) couchestor.ts demo $(if $(FILE),--file "$(FILE)")

test: setup ## Lint, types, and all tests; needs no root and says in plain lines what it skips
	@deploy/build/run-tests

check: setup ## Lint, types and dead code, without tests
	@node_modules/.bin/biome check --error-on-warnings .
	@node_modules/.bin/tsc --noEmit -p .
	@if $(BUN) -e 'await import("oxc-parser")' 2>/dev/null; then $(BUN) node_modules/knip/bin/knip.js; \
	else echo 'dead code: left out, its parser comes only with Node 20.19 or newer'; fi

build: setup ## dist/couchestor-linux-{x64,arm64}: compiled, measured, and run (arm64 under qemu)
	@$(BUN) deploy/build/build.ts
	@$(BUN) deploy/build/verify.ts

bench: setup ## Every benchmark, one JSON object a line (NAME=prefix for some of them)
	@$(BUN) couchestor.ts bench --json $(NAME)

clean: ## Remove what was built, fetched and installed
	rm -rf node_modules .deps dist .cache .demo coverage

include deploy/envtest/targets.mk
include deploy/lab/targets.mk
include brain/migration/sim/targets.mk
