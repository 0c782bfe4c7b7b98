# How objects, archives and programs are made.

# Objects are made again when the flags change; -Werror does not count as a change.
FLAGS_TEXT = $(CC) $(CPPFLAGS_OURS) $(CFLAGS_OURS) $(LDFLAGS_OURS) $(LIBS)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' | cmp -s - $@ || \
		printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' >$@

# The same for the list of files: an archive is made again when one goes away.
$(B)/files: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(LISTED) | cmp -s - $@ || printf '%s\n' $(LISTED) >$@

$(B)/obj/%.o: %.c $(B)/flags | $(GENERATED) need-packages
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS_OURS) $(CPPFLAGS_TEST) $(CFLAGS_OURS) $(WERROR) -MMD -MP -c -o $@ $<

# Written in a temporary first, as several makes may share a build folder.
define archive
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@.tmp && $(AR) rcs $@.tmp $(filter %.o,$^) && mv $@.tmp $@
endef

define link
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_OURS) $(LDFLAGS_OURS) $(LDFLAGS_TEST) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(LIBS) $(LIBS_TEST)
endef

define folder_rules
$(B)/lib$(1).a: $(call objs_of,$(call LIB_SRCS_of,$(1))) $(B)/files
	$$(archive)
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

define program_rule
$(BIN)/$(PROGRAM_$(1)): $(call objs_of,$(1)/main.c) $(call lib_of,$(1) $(USES_$(1)))
	$$(link)
endef
$(foreach f,$(FOLDERS),$(if $(PROGRAM_$(f)),$(eval $(call program_rule,$(f)))))

define embed_rule
$(B)/gen/$(1).inc: mk/embed $(EMBED_$(1)) $(B)/files
	@mkdir -p $$(@D)
	$$(call say,EMBED,$$@)
	$$(Q)mk/embed $(1) $(EMBED_$(1)) >$$@
endef
$(eval $(call embed_rule,migrations))

# All archives, also those that no program is linked with yet.
libs: $(call lib_of,$(foreach f,$(FOLDERS),$(if $(call LIB_SRCS_of,$(f)),$(f))))

need-packages:
	$(if $(LIBS),,@echo "libraries are missing; run: deploy/install-packages build" >&2; exit 1)

# For editors and clang tools; paths are relative to "directory".
compile_commands.json: $(B)/files $(B)/flags
	$(file >$(B)/commands,[)
	$(foreach s,$(SRCS) $(TEST_SRCS),$(file >>$(B)/commands,{"directory": "$(CURDIR)"$(comma) \
		"file": "$(s)"$(comma) "command": "$(CC) $(CPPFLAGS_OURS) $(CFLAGS_OURS) -c $(s)"}$(comma)))
	$(Q)sed '$$s/,$$//' $(B)/commands >$@ && echo ']' >>$@

-include $(patsubst %.c,$(B)/obj/%.d,$(SRCS) $(TEST_SRCS))

FORCE:
.PHONY: FORCE libs need-packages
.SECONDARY:
