# Targets for tests with real parts of Kubernetes; included by the Makefile. `make test` uses the control plane when it is there and says when not.

ENVTEST_SOURCES := deploy/envtest/build deploy/envtest/go.mod deploy/envtest/go.sum deploy/envtest/kwok/go.mod deploy/envtest/kwok/go.sum
# Every test that needs a control plane or a Prometheus says so by one of these.
E2E_TESTS = $(shell grep -rlE 'controlPlaneMissing|prometheusMissing' brain common --include='*.test.ts')
# PROMETHEUS=3: with a Prometheus 3 built here instead of the one in the PATH.
PROMETHEUS ?=

.PHONY: envtest e2e prometheus

envtest: $(ENVTEST_SOURCES) ## Build etcd, kube-apiserver and the rest of a control plane for tests, once, into the cache (Go; about 6 minutes)
	@deploy/envtest/build

prometheus: ## Build Prometheus 3 for tests, once, into the cache (Go; about 6 minutes); for `make e2e PROMETHEUS=3`
	@deploy/envtest/build-prometheus

e2e: setup envtest $(if $(PROMETHEUS),prometheus) ## Tests with a real control plane and a real Prometheus; fails where `make test` would skip (PROMETHEUS=3)
	@$(if $(PROMETHEUS),PROMETHEUS_ASSETS="$$(deploy/envtest/build-prometheus --print)") COUCHESTOR_E2E=1 deploy/envtest/run-e2e $(E2E_TESTS)
