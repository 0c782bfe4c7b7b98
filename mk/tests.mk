# Unit tests, fuzzers and their replay, scenarios, coverage.

SUPPORT_SRCS := $(filter-out tests/support/replay.c,$(wildcard tests/support/*.c))
LIB_SUPPORT := $(B)/libsupport.a
$(LIB_SUPPORT): $(call objs_of,$(SUPPORT_SRCS)) $(B)/files
	$(archive)

$(B)/obj/tests/unit/%.o $(call objs_of,$(SUPPORT_SRCS)): \
	CPPFLAGS_TEST = -include tests/support/real.h

# tests/support/fault.c decides for each of these whether the call fails.
FAULT_CALLS := malloc calloc realloc reallocarray free strdup strndup write pwrite fsync fdatasync \
	ftruncate ftruncate64 pwrite64 pread pread64 renameat unlinkat
# The wrappers are asked for by name: a test that calls none of these still links code that does.
# Tools, replays and fuzzers have them too, as the support code calls the real functions by name.
FAULT_LINK := -Wl,-u,__wrap_malloc $(foreach c,$(FAULT_CALLS),-Wl,--wrap=$(c))
$(B)/tests/%: LDFLAGS_TEST = $(FAULT_LINK)
$(B)/tests/%: LIBS_TEST = -lcmocka -lz

UNIT_SRCS := $(foreach f,$(FOLDERS),$(wildcard tests/unit/$(f)/test_*.c))
UNITS := $(UNIT_SRCS:%.c=$(B)/%)
define unit_rules
$(B)/tests/unit/$(1)/%: $(B)/obj/tests/unit/$(1)/%.o $(LIB_SUPPORT) $(call lib_of,$(1) $(USES_$(1)))
	$$(link)
endef
$(foreach f,$(FOLDERS),$(eval $(call unit_rules,$(f))))

# Helper programs of scenarios and measurements; they may use everything.
TEST_TOOLS := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c tests/tools/*.c))
define tool_rules
$(B)/tests/$(1)/%: $(B)/obj/tests/$(1)/%.o $(LIB_SUPPORT) $(ALL_LIBS)
	$$(link)
endef
$(foreach t,bench tools,$(eval $(call tool_rules,$(t))))

# A fuzzer is linked twice: with libFuzzer by `make fuzz`, with replay.c for the plain tests.
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(FUZZERS:%=$(B)/tests/replay/%)
$(B)/tests/replay/%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/support/replay.o $(LIB_SUPPORT) $(ALL_LIBS)
	$(link)
$(B)/tests/fuzz/%: $(B)/obj/tests/fuzz/fuzz_%.o $(LIB_SUPPORT) $(ALL_LIBS)
	$(link)
$(B)/tests/fuzz/%: LDFLAGS_TEST = $(FAULT_LINK) -fsanitize=fuzzer

SCENARIOS := $(wildcard tests/scenario/[a-z][0-9]*.sh)
JOBS ?= $(shell nproc)
RUN = TOP='$(CURDIR)' BUILD='$(CURDIR)/$(B)' tests/support/run -j $(JOBS)
SANITIZED := SAN=address,undefined

##@ Testing

unit: $(if $(ONE),$(B)/$(ONE:%.c=%),$(UNITS)) ## run the unit tests (ONE=tests/unit/base/test_buf.c for one)
	$(Q)$(RUN) unit $(if $(ONE),$(B)/$(ONE:%.c=%),$(UNITS))

replay: $(REPLAYS) ## give every corpus file to its fuzzer's entry point
	$(Q)$(RUN) replay $(REPLAYS)

scenario: programs $(TEST_TOOLS) ## run the scenarios (ONE=tests/scenario/s210_publish.sh for one)
	$(Q)$(RUN) scenario $(if $(ONE),$(ONE),$(SCENARIOS))

SECONDS ?= 60
fuzz: ## fuzz one parser: T=name, SECONDS=60
	$(Q)test -f 'tests/fuzz/fuzz_$(T).c' || { echo "T=name, one of: $(FUZZERS)"; exit 1; }
	$(Q)mkdir -p tests/corpus/$(T) build/fuzz/$(T)
	$(Q)$(MAKE) CC=clang SAN=fuzzer-no-link,address,undefined \
		build/san-fuzzer-no-link-address-undefined-clang/tests/fuzz/$(T)
	$(Q)build/san-fuzzer-no-link-address-undefined-clang/tests/fuzz/$(T) \
		-max_total_time=$(SECONDS) -timeout=60 -rss_limit_mb=1024 \
		-artifact_prefix=build/fuzz/$(T)/ build/fuzz/$(T) tests/corpus/$(T)

seeds: $(B)/tests/tools/delta_seeds ## make the named seeds of tests/corpus/delta anew, when the coding of deltas changed
	$(Q)$< tests/corpus/delta

torture: $(B)/tests/unit/delta/test_delta ## run the unit tests again and again with the n-th allocation, write, ... failing
	$(Q)$(MAKE) $(SANITIZED) torture-run
	$(Q)DELTA_SEED=$${DELTA_SEED:-$$(date +%s)} DELTA_PAIRS=$${DELTA_PAIRS:-20000} TIMEOUT=3600 \
		$(RUN) unit $(B)/tests/unit/delta/test_delta
torture-run: $(UNITS)
	$(Q)$(RUN) torture $(if $(ONE),$(B)/$(ONE:%.c=%),$(UNITS))

# What decides whether something is believed: every branch of it is taken by a test, or `make cover` fails.
VERIFIERS := $(patsubst %,proto/%.c,cjson httpsig keyfile rotation seal sig tuf tuf_client tuf_make tuf_path \
	tuf_sign tuf_verify uptane) server/nonces.c base/bytes.h base/lzma2.c delta/code.h \
	$(patsubst %,delta/%.c,apply checksum code_add code_insert code_ops code_pieces coder deflate fields format \
	guess huffman inflate models pack recipe space transform)
VERIFIER_UNITS := $(filter $(B)/tests/unit/proto/% %/test_limits %/test_bytes %/test_lzma2 \
	$(patsubst %,$(B)/tests/unit/delta/test_%,account apply checksum code coder deflate fields \
	format parts recipe space),$(UNITS))
VERIFIER_REPLAYS := $(filter %/cjson %/httpsig %/keyfile %/json %/rotation %/tuf %/tuf_repo,$(REPLAYS))
GCOVR := gcovr -r . --object-directory $(B) -e tests/ --exclude-unreachable-branches --branches
check_verifiers = $(GCOVR) $(VERIFIERS:%=-f %) --fail-under-branch 100

cover: ## run units and replays with gcov, show the branches taken per file
	$(Q)$(MAKE) COVER=1 cover-run
cover-run: $(UNITS) $(REPLAYS)
	$(Q)find $(B) -name '*.gcda' -delete
	-$(Q)$(RUN) unit $(UNITS)
	-$(Q)$(RUN) replay $(REPLAYS)
	$(Q)$(GCOVR)
	$(Q)$(check_verifiers)

verifiers: ## the part of `make cover` that must have all branches taken
	$(Q)$(MAKE) COVER=1 verifiers-run
verifiers-run: $(VERIFIER_UNITS) $(VERIFIER_REPLAYS)
	$(Q)find $(B) -name '*.gcda' -delete
	$(Q)$(RUN) unit $(VERIFIER_UNITS)
	$(Q)$(RUN) replay $(VERIFIER_REPLAYS)
	$(Q)$(check_verifiers)

# Every condition of a decision shown to decide it (clang 18 and later; Debian 12 has clang-19).
MCDC_CC ?= clang-19
LLVM = $(patsubst clang%,llvm-$(1)%,$(MCDC_CC))
mcdc: ## the same files by MC/DC, with clang-19 and llvm-19
	$(Q)command -v $(MCDC_CC) >/dev/null || { echo "apt-get install clang-19 llvm-19 libclang-rt-19-dev"; exit 1; }
	$(Q)$(MAKE) CC=$(MCDC_CC) COVER=mcdc mcdc-run
mcdc-run: $(VERIFIER_UNITS) $(VERIFIER_REPLAYS)
	$(Q)rm -rf $(B)/profiles && mkdir $(B)/profiles
	$(Q)LLVM_PROFILE_FILE='$(CURDIR)/$(B)/profiles/%p.profraw' $(RUN) unit $(VERIFIER_UNITS)
	$(Q)LLVM_PROFILE_FILE='$(CURDIR)/$(B)/profiles/%p.profraw' $(RUN) replay $(VERIFIER_REPLAYS)
	$(Q)$(call LLVM,profdata) merge -sparse -o $(B)/merged.profdata $(B)/profiles/*.profraw
	$(Q)$(call LLVM,cov) report --show-mcdc-summary --show-branch-summary=false --show-region-summary=false \
		--instr-profile=$(B)/merged.profdata \
		$(firstword $(VERIFIER_UNITS)) $(patsubst %,--object=%,$(wordlist 2,99,$(VERIFIER_UNITS)) $(VERIFIER_REPLAYS)) \
		$(VERIFIERS)

.PHONY: unit replay scenario fuzz seeds torture torture-run cover cover-run verifiers \
	verifiers-run mcdc mcdc-run
