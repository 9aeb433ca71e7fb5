# Targets for tests with real parts of Kubernetes; included by the Makefile. `make test` uses the control plane when it is there and says when not.

ENVTEST_SOURCES := deploy/envtest/build deploy/envtest/go.mod deploy/envtest/go.sum deploy/envtest/kwok/go.mod deploy/envtest/kwok/go.sum

.PHONY: envtest e2e

envtest: $(ENVTEST_SOURCES) ## Build etcd, kube-apiserver and the rest of a control plane for tests, once, into the cache (Go; about 6 minutes)
	@deploy/envtest/build

e2e: setup envtest ## Tests with a real control plane; fails where `make test` would skip
	@COUCHESTOR_E2E=1 $(BUN) test --timeout=120000 brain/kube brain/runtime brain/testing
