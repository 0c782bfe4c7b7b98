# Compiler, warnings, hardening and the name of the variant.

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' $(1) $(2))

comma := ,
empty :=
space := $(empty) $(empty)

compiler := $(notdir $(firstword $(CC)))
VARIANT := $(subst $(space),-,$(strip \
	$(if $(COVER),$(if $(filter mcdc,$(COVER)),mcdc,cover),$(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)) \
	$(if $(filter-out gcc cc,$(compiler)),$(compiler))))
B := build/$(VARIANT)
BIN := $(B)/bin

# Texts for people are cut to their buffers on purpose: no -Wformat-truncation.
WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wundef -Wformat=2 -Wmissing-prototypes \
	-Wstrict-prototypes -Wold-style-definition -Wimplicit-fallthrough -Wwrite-strings \
	-Wpointer-arith -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wno-format-zero-length \
	$(if $(findstring clang,$(compiler)),-Wno-format-nonliteral -Wno-gnu-variable-sized-type-not-at-end \
	-Wno-string-concatenation,-Wno-format-truncation -Wlogical-op -Wduplicated-cond)
WERROR := $(if $(DEVELOPER),-Werror)

OPTIMISE := -O2 -g
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
	-fno-strict-overflow
HARDEN_LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack

# The sanitizers bring their own checked string functions, and fortified ones hide from them.
ifdef SAN
OPTIMISE := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
HARDEN :=
HARDEN_LINK := -pie -fsanitize=$(SAN)
endif
ifdef COVER
OPTIMISE := -O0 -g --coverage -fprofile-update=atomic
HARDEN :=
HARDEN_LINK := -pie --coverage
endif
ifeq ($(COVER),mcdc)
OPTIMISE := -O0 -g -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc -fprofile-update=atomic
HARDEN_LINK := -pie -fprofile-instr-generate
endif

# On a machine that lacks the libraries this is empty; `need-packages` then says what to do.
PKGS := sqlite3 libcrypto libssl jansson libsodium libzstd liblzma libcurl libseccomp libqrencode \
	libarchive libmicrohttpd gnutls
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
# Its pkg-config file asks for glib's headers, which its own header does not need.
LIBS += $(if $(LIBS),-lslirp)

CPPFLAGS_OURS = -I. -I$(B)/gen -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -include base/banned.h \
	$(patsubst -I%,-isystem %,$(PKG_CFLAGS)) $(CPPFLAGS)
CFLAGS_OURS = -std=gnu11 -fPIE -pthread $(OPTIMISE) $(HARDEN) $(WARNINGS) $(CFLAGS)
LDFLAGS_OURS = $(HARDEN_LINK) -pthread -Wl,--as-needed $(LDFLAGS)
