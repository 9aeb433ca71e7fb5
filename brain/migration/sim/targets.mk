# Migrations on virtual time; included by the Makefile.

# SEEDS=1000 FROM=1: that many histories; SEED=n: that one, told in full; SYSTEMATIC=1: every fault of every call with every kill, one after the other (SHARE=10: a tenth of these).
SEEDS ?= 1000

.PHONY: sim

sim: setup ## Histories of migrations with faults, checked (SEEDS=1000; SEED=n replays one; SYSTEMATIC=1 for every fault × kill)
	@SEEDS=$(SEEDS) FROM=$(FROM) SEED=$(SEED) FLAVOUR=$(FLAVOUR) SYSTEMATIC=$(SYSTEMATIC) SHARE=$(SHARE) $(BUN) brain/migration/sim/run-histories.ts
