# Manual pages, completion and `make install`.

PREFIX ?= /usr/local
# Debian's zsh looks below /usr only into the folder for packages.
ZSH_FOLDER = share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
# What manual pages, messages and settings refer to.
DOCS := $(wildcard docs/*.md docs/*.yaml)
MAN_SECTION_valised := 8
MAN_SECTION_valise-agent := 8
MAN_SECTION_valise-vmm := 8
man_of = $(B)/man/$(1).$(or $(MAN_SECTION_$(1)),1)
MANS := $(foreach p,$(notdir $(PROGRAMS)),$(call man_of,$(p)))
UNITS_SYSTEMD := $(wildcard deploy/systemd/*)

define man_rule
$(call man_of,$(1)): $(BIN)/$(1)
	@mkdir -p $$(@D)
	$$(call say,MAN,$$@)
	$$(Q)$$< --man >$$@
endef
$(foreach p,$(notdir $(PROGRAMS)),$(eval $(call man_rule,$(p))))

##@ Installing

man: $(MANS) ## manual pages, in build/release/man

install: programs $(MANS) ## programs, manual pages, completion, units: DESTDIR, PREFIX=/usr/local
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 $(PROGRAMS) '$(DESTDIR)$(PREFIX)/bin'
	for page in $(MANS); do \
		install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}" "$$page"; done
	install -d '$(DESTDIR)$(PREFIX)/share/bash-completion/completions'
	install -d '$(DESTDIR)$(PREFIX)/$(ZSH_FOLDER)'
	for p in $(PROGRAMS); do \
		"$$p" completion bash >"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$${p##*/}" && \
		"$$p" completion zsh >"$(DESTDIR)$(PREFIX)/$(ZSH_FOLDER)/_$${p##*/}" || exit 1; done
	install -d '$(DESTDIR)$(PREFIX)/lib/systemd/system'
	for unit in $(UNITS_SYSTEMD); do \
		sed 's|/usr/local/bin/|$(PREFIX)/bin/|' "$$unit" \
			>"$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}" || exit 1; done
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/lib/sysusers.d' deploy/sysusers.d/valise.conf
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/doc/valise' deploy/settings/*.conf deploy/nginx.conf
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/doc/valise/docs' $(DOCS)

uninstall: ## remove what `make install` put there; settings, keys and state stay
	for p in $(notdir $(PROGRAMS)); do \
		rm -f "$(DESTDIR)$(PREFIX)/bin/$$p" \
			"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$p" \
			"$(DESTDIR)$(PREFIX)/$(ZSH_FOLDER)/_$$p" || exit 1; done
	for page in $(notdir $(MANS)); do \
		rm -f "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$page" || exit 1; done
	rm -f $(patsubst %,'$(DESTDIR)$(PREFIX)/lib/systemd/system/%',$(notdir $(UNITS_SYSTEMD)))
	rm -f '$(DESTDIR)$(PREFIX)/lib/sysusers.d/valise.conf'
	rm -rf '$(DESTDIR)$(PREFIX)/share/doc/valise'

.PHONY: man install uninstall
