# The folders of the tree, and whose archives each is linked with.  What may be included is
# mk/include-rules; the two say the same thing, one to the linker and one to the reader.

FOLDERS := base proto delta storage client server admin-cli agent hypervisor

# Left to right, users before what they use.
USES_base :=
USES_proto := base
USES_delta := base
USES_storage := proto base
USES_client := proto base
USES_server := storage delta proto base
USES_admin-cli := client delta proto base
USES_agent := client delta proto base
USES_hypervisor := proto base

PROGRAM_server := valised
PROGRAM_admin-cli := valise
PROGRAM_agent := valise-agent
PROGRAM_hypervisor := valise-vmm
PROGRAM_delta := valise-delta

SRCS_of = $(wildcard $(1)/*.c $(1)/*/*.c)
LIB_SRCS_of = $(filter-out $(1)/main.c,$(call SRCS_of,$(1)))
lib_of = $(foreach f,$(1),$(B)/lib$(f).a)
objs_of = $(patsubst %.c,$(B)/obj/%.o,$(1))

SRCS := $(foreach f,$(FOLDERS),$(call SRCS_of,$(f)))
PROGRAMS := $(foreach f,$(FOLDERS),$(if $(wildcard $(f)/main.c),$(BIN)/$(PROGRAM_$(f))))
ALL_LIBS := $(call lib_of,server agent admin-cli hypervisor client storage delta proto base)

TEST_SRCS := $(wildcard tests/*/*.c tests/unit/*/*.c)
C_FILES := $(SRCS) $(TEST_SRCS) \
	$(foreach f,$(FOLDERS),$(wildcard $(f)/*.h $(f)/*/*.h)) $(wildcard tests/*/*.h)

# Folders whose files are built in: mk/embed makes gen/<name>.inc, a table of names and bytes.
EMBED_migrations := $(wildcard migrations/*.sql)
GENERATED := $(B)/gen/migrations.inc

# A name that comes, goes or changes: what was made of the old list is made again.
LISTED := $(SRCS) $(TEST_SRCS) $(EMBED_migrations)
