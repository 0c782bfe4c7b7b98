#!/bin/bash
# What is installed for systemd is accepted by it; the settings there are good; users are made.
. "$TOP/tests/support/lib.sh"
say "the deployment's settings are good but for the users, which systemd-sysusers makes"
"$bin/valised" check --config "$TOP/deploy/settings/valised.conf" | grep -q "settings: fine" || die "deploy/settings/valised.conf"
"$bin/valised" check --sample >sample.conf
"$bin/valised" check --config sample.conf >/dev/null || die "the sample file"
sed 's/^#//' sample.conf | grep -E '^[a-z_.]+ = ' >all.conf
[ "$(wc -l <all.conf)" -ge 30 ] || die "the sample has few settings"
"$bin/valised" check --config all.conf >/dev/null || die "the defaults, written out"
say "mistakes stop it with file and line"
echo "listen.prot = 1" >bad.conf
if "$bin/valised" check --config bad.conf 2>err; then die "an unknown key was taken"; fi
grep -q "bad.conf:1" err || die "$(cat err)"
for bad in listen.port=70000 listen.tls=maybe poll.interval=soon state_dir=relative "listen.tls=no" \
	"poll.interval=20h"; do
	if "$bin/valised" check --set "$bad" >/dev/null 2>&1; then die "taken: $bad"; fi
done
"$bin/valised" check --set listen.tls=no --set listen.address=127.0.0.1 >/dev/null || die "plain HTTP on loopback"
if [ "$(id -u)" = 0 ]; then
	if "$bin/valised" init --state "$TMPDIR/x" --set user=nobody-of-that-name 2>err; then die "a user that is not there"; fi
	grep -q "systemd-sysusers" err || die "$(cat err)"
	[ ! -e "$TMPDIR/x" ] || die "something was made"
fi
say "make install puts all of it below DESTDIR, pages in the section that they name; uninstall leaves no file"
if [ "$BUILD" = "$TOP/build/release" ]; then
	in_make() { env -u MAKEFLAGS -u MAKELEVEL make -s -C "$TOP" DESTDIR="$TMPDIR/dest" PREFIX=/usr "$@" >make.out 2>&1 || die "make $*: $(cat make.out)"; }
	in_make install
	for p in "$BUILD"/bin/*; do
		p=${p##*/}
		"dest/usr/bin/$p" --version >/dev/null || die "$p"
		for section in 1 8; do
			page=dest/usr/share/man/man$section/$p.$section
			[ ! -e "$page" ] || head -n 1 "$page" | grep -q "^.TH \"${p^^}\" $section " || die "$page: $(head -n 1 "$page")"
		done
		[ "$(find dest/usr/share/man -name "$p.?" | wc -l)" = 1 ] || die "no page of $p"
		[ -s "dest/usr/share/bash-completion/completions/$p" ] || die "bash, $p"
		[ -s "dest/usr/share/zsh/site-functions/_$p" ] || die "zsh, $p"
	done
	grep -q '^ExecStart=/usr/bin/valised ' dest/usr/lib/systemd/system/valised.service || die "the unit names another program"
	[ "$(find dest -type f | wc -l)" -gt 20 ] || die "little was installed: $(find dest -type f)"
	in_make uninstall
	[ -z "$(find dest ! -type d)" ] || die "left: $(find dest ! -type d)"
fi
command -v systemd-analyze >/dev/null || skip "systemd-analyze is not there to judge the unit"
say "the unit is what systemd understands, and well locked up"
sed "s#/usr/local/bin#$bin#" "$TOP/deploy/systemd/valised.service" >valised.service
systemd-analyze verify --man=no ./valised.service >verify.out 2>&1 || die "$(cat verify.out)"
if grep -i "unknown\|invalid\|failed to parse" verify.out; then die "the unit"; fi
if systemd-analyze security --offline=true ./valised.service >security.out 2>&1; then
	score=$(tail -n 2 security.out | grep -o '[0-9]\+\.[0-9]' | tail -n 1)
	awk -v s="$score" 'BEGIN { exit !(s > 0 && s < 4) }' || die "exposure $score"
fi
if command -v systemd-sysusers >/dev/null; then
	mkdir -p root/etc
	systemd-sysusers --root="$TMPDIR/root" "$TOP/deploy/sysusers.d/valise.conf" >users.out 2>&1 || die "$(cat users.out)"
	for u in valised valised-keys valised-work; do
		grep -q "^$u:" root/etc/passwd || die "no user $u"
	done
fi
