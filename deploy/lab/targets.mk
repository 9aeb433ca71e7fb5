# The hardware lab; included by the Makefile.

.PHONY: lab lab-bench

lab: setup ## Tests on disks of every kind, in a virtual machine: no root, nothing installed (Debian x64; TESTS=part of a path)
	@deploy/deps/fetch lab
	@$(BUN) deploy/lab/test.ts $(TESTS)

lab-bench: setup ## Zones against a plain namespace, in the same virtual machine
	@deploy/deps/fetch lab
	@deploy/lab/run deploy/lab/bench-zones
