# Measurements: every tests/bench/*.sh, as ratios to what the system's own tools do.

BENCHES := $(sort $(wildcard tests/bench/[a-z]*.sh))

bench: programs $(TEST_TOOLS) ## measure (ONE=tests/bench/images.sh for one)
	$(Q)for b in $(if $(ONE),$(ONE),$(BENCHES)); do \
		TOP='$(CURDIR)' BUILD='$(CURDIR)/$(B)' "$$b" || exit 1; done

.PHONY: bench
