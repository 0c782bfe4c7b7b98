# Deltas beside other tools' on real pairs; PAIRS=folder keeps what was built.

##@ Measuring

PAIRS ?= build/pairs

bench-delta: programs ## deltas against rivals on real pairs (PAIRS=folder, NAMES="p1 p5u")
	$(Q)tests/bench/delta/pairs.sh '$(PAIRS)' $(NAMES)
	$(Q)tests/bench/delta/run.sh '$(PAIRS)' $(NAMES)

PACKAGES ?= build/packages

bench-packages: programs ## the same on single packages (PACKAGES=folder, NAMES="libssl3 git@erofs", TOOLS="valise hdiffpatch")
	$(Q)tests/bench/delta/packages.sh '$(PACKAGES)' $(NAMES)
	$(Q)tests/bench/delta/run.sh '$(PACKAGES)' $(NAMES)

PATTERNS ?= build/patterns

bench-patterns: programs ## the same on patterns that are awkward (PATTERNS=folder, NAMES="sqlite tiny", TOOLS="valise hdiffpatch")
	$(Q)tests/bench/delta/patterns.py '$(PATTERNS)' $(NAMES)
	$(Q)tests/bench/delta/run.sh '$(PATTERNS)' $(NAMES)

bench-streams: $(B)/tests/bench/streams ## deflate streams by encoder: how many are seen through
	$(Q)tests/bench/delta/streams.sh

HUGE ?= build/huge
GIB ?= 8

bench-huge: programs ## deltas of images of 8 GiB: time, memory below 1 GiB (HUGE=folder, GIB=8; needs 5 times GIB)
	$(Q)tests/bench/delta/huge.sh '$(HUGE)' $(GIB)

.PHONY: bench-delta bench-packages bench-patterns bench-streams bench-huge
