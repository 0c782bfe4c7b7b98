# The whole check, and the parts of it that are not tests.

##@ Checking

# Packages first, in a make of its own: on a fresh machine this one was read without them.
check: ## install what is missing, build, and run every test and check
	$(Q)deploy/install-packages check
	$(Q)$(MAKE) DEVELOPER=1 check-all

# Every step runs even after one failed, so that one run tells everything; the sum comes last.
CHECK_STEPS := graph references format-check cppcheck units-and-replay clang sanitized scenario
check-all:
	$(Q)mk/check '$(MAKE)' $(CHECK_STEPS)

units-and-replay: programs compile_commands.json unit
sanitized:
	$(Q)$(MAKE) $(SANITIZED) sanitized-run
sanitized-run: $(UNITS) $(REPLAYS)
	$(Q)$(RUN) unit $(UNITS)
	$(Q)$(RUN) replay $(REPLAYS)

# A second opinion on warnings, where there is a second compiler.
clang: ## compile everything with clang too, if it is installed
	$(Q)if command -v clang >/dev/null; then $(MAKE) CC=clang DEVELOPER=1 clang-programs; else \
		echo "skip clang: not installed"; [ -z "$$RESULTS" ] || echo 0 0 1 >>"$$RESULTS"; fi
clang-programs: programs $(UNITS) $(REPLAYS) $(TEST_TOOLS)

graph: ## who may include whom, and one door per library
	$(Q)mk/include-graph mk/include-rules $(C_FILES)

references: ## whether the files, tests and targets that texts and comments name are there
	$(Q)mk/references README.md $(wildcard docs/*.md) $(filter-out tests/%,$(C_FILES)) \
		$(shell find deploy mk -type f) Makefile

format-check: ## whether clang-format would change anything
	$(Q)clang-format --dry-run -Werror $(C_FILES)

cppcheck: $(GENERATED) ## look for bugs without running anything
	$(Q)mkdir -p build/cppcheck
	$(Q)cppcheck -j $(JOBS) -q --cppcheck-build-dir=build/cppcheck --std=c11 --error-exitcode=1 \
		--enable=warning,performance,portability --inline-suppr -I . -I $(B)/gen \
		-D_GNU_SOURCE -D__linux__ -D__x86_64__ --suppressions-list=mk/cppcheck.txt $(SRCS)

demo: ## the main job on this machine: server, phone images, a handset, an update, a rollback
	$(Q)deploy/install-packages demo
	$(Q)$(MAKE) all
	$(Q)BUILD='$(CURDIR)/$(B)' deploy/demo/demo start

demo-stop: ## end the server and the agent that the demo left running
	$(Q)deploy/demo/demo stop

.PHONY: check check-all units-and-replay clang clang-programs sanitized sanitized-run graph references format-check cppcheck demo demo-stop
