# Valise.  `make` builds the programs, `make check` runs every test, `make help` lists the rest.
#
#   V=1                    show whole command lines
#   DEVELOPER=1            warnings are errors (make check sets it)
#   SAN=address,undefined  build with sanitizers
#   CC=clang               build with another compiler
#
# Each combination has its own folder build/<variant>/.  Files are found by globbing: a new *.c
# in one of the folders below is compiled without touching this file.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

include mk/flags.mk
include mk/sources.mk
include mk/rules.mk
include mk/tests.mk
include mk/check.mk
include mk/install.mk
-include $(wildcard mk/part-*.mk)

##@ Building

all: programs $(if $(filter release,$(VARIANT)),compile_commands.json) ## build the programs (default)

programs: libs $(PROGRAMS)

clean: ## remove everything that was built
	rm -rf build compile_commands.json

format: ## let clang-format lay out all C files
	$(Q)clang-format -i $(C_FILES)

help: ## this list
	@awk -f mk/help.awk $(MAKEFILE_LIST)

.PHONY: all programs clean format help
