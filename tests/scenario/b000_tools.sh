#!/bin/sh
# The tools that judge the rest: each must say no when it should.
set -eu
cd "$TOP"

echo "# a package list that is satisfied costs nothing and needs nothing"
deploy/install-packages build
if deploy/install-packages nonsense 2>/dev/null; then
	echo "an unknown section was accepted"
	exit 1
fi

echo "# the include graph refuses arrows that point up, and side doors"
mkdir "$TMPDIR/base"
cat >"$TMPDIR/base/bad.c" <<'C'
#include "base/err.h"
#include "server/web.h"
#include <sqlite3.h>
#include "err.h"
#include "proto/jdoc_priv.h"
C
if (cd "$TMPDIR" && "$TOP/mk/include-graph" "$TOP/mk/include-rules" base/bad.c) >"$TMPDIR/graph"; then
	echo "bad includes were accepted"
	exit 1
fi
for line in 2 3 4 5; do
	grep -q "^base/bad.c:$line: " "$TMPDIR/graph"
done
! grep -q '^base/bad.c:1: ' "$TMPDIR/graph"

echo "# texts that name what is not there are found, what is there is not"
(
	cd "$TMPDIR"
	mkdir -p tests/scenario mk proto docs storage client server admin-cli agent hypervisor delta deploy migrations
	touch proto/there.h tests/scenario/s100_there.sh Makefile mk/x.mk
	echo 'static void a_name_with_words(void);' >base/x.c
	cat >docs/A.md <<'MD'
proto/there.h `proto/there` proto/ proto/th* [it](../proto/there.h) [web](https://a.example/b) s100 a_name_with_words mk/part-NAME.mk
proto/gone.h
[it](gone.md)
s101
a_name_without_code
`make gone`, but nobody should make that
MD
	if "$TOP/mk/references" docs/A.md base/x.c >found; then exit 1; fi
	[ "$(tr '\n' ' ' <found)" = "docs/A.md:2: proto/gone.h docs/A.md:3: gone.md docs/A.md:4: s101 docs/A.md:5: a_name_without_code docs/A.md:6: make gone " ] ||
		{ cat found; exit 1; }
)

echo "# the runner tells passed, failed, skipped and hanging apart, and leaves nothing running"
cd "$TMPDIR"
printf '#!/bin/sh\nsleep 1000 &\necho $! >"%s/left"\n' "$TMPDIR" >b1.sh
printf '#!/bin/sh\necho "no such device"\nexit 77\n' >b2.sh
printf '#!/bin/sh\nexit 3\n' >b3.sh
printf '#!/bin/sh\nsleep 1000\n' >b4.sh
chmod +x b?.sh
if RESULTS= TIMEOUT=5 "$TOP/tests/support/run" -j 4 scenario ./b?.sh >out 2>err; then
	echo "failures were not told"
	exit 1
fi
grep -qx 'skip b2.sh: no such device' out
grep -qx 'scenario: 1 passed, 2 failed, 1 skipped in 4 files' out
grep -q 'FAIL b3.sh (exit status 3' err
grep -q 'FAIL b4.sh (no end after 5 s)' err
# It was killed before the runner ended; when it is gone is for the kernel to say.
is_left() {
	[ -d "/proc/$(cat left)" ] && ! grep -q '^State:.Z' "/proc/$(cat left)/status"
}
tries=0
while is_left 2>/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 600 ] || { echo "a process was left running"; exit 1; }
	sleep 0.05
done

echo "# embedded files come out byte for byte"
printf 'a\0"\\\n' >one.sql
: >two.sql
"$TOP/mk/embed" sql one.sql two.sql >sql.inc
cat >main.c <<'C'
#include <stddef.h>
#include <stdio.h>
#include "sql.inc"
int main(void)
{
	fwrite(sql_files[0].p, 1, sql_files[0].n, stdout);
	return sql_files[1].n != 0 || sizeof(sql_files) / sizeof(sql_files[0]) != 2;
}
C
gcc -o main main.c
./main | cmp - one.sql

echo "# the manual page of each program is one that troff reads without complaint"
for p in "$BUILD"/bin/*; do
	"$p" --man >page
	grep -q '^\.SH NAME' page
	mandoc -Tlint -Wwarning page
	"$p" completion bash | bash -n
	"$p" completion zsh | zsh -n
done
