#!/bin/bash
# What is installed for systemd is accepted by it; the settings there are good; users are made.
. "$TOP/tests/support/lib.sh"
say "the deployment's settings are good but for the users, which systemd-sysusers makes"
"$bin/valised" check --config "$TOP/deploy/settings/valised.conf" | has "settings: fine" || die "deploy/settings/valised.conf"
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
say "what lacks a state folder, or has a certificate that does not fit, is told before a restart"
missing=("${server_settings[@]}" --state "$TMPDIR/missing")
for command in run pin "keys show" "token x --scope admin"; do
	got=0
	"$bin/valised" $command "${missing[@]}" >out 2>&1 || got=$?
	[ $got = 66 ] && grep -q "valised init" out || die "$command: status $got: $(cat out)"
done
"$bin/valised" check "${missing[@]}" >/dev/null || die "check before init"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem -subj /CN=own 2>/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key 2>/dev/null
own=(--set "tls.certificate=$TMPDIR/own.pem")
"$bin/valised" check "${missing[@]}" "${own[@]}" --set "tls.key=$TMPDIR/own.key" >/dev/null || die "a good pair"
for key in other.key no.key own.pem; do
	if "$bin/valised" check "${missing[@]}" "${own[@]}" --set "tls.key=$TMPDIR/$key" >out 2>&1; then die "taken: $key"; fi
	grep -q "TLS" out || die "$(cat out)"
done

say "a state folder where others could have written, or look at keys, is not worked with"
refused() { # TEXT COMMAND...
	local got=0 text=$1
	shift
	"$@" >refused.out 2>&1 || got=$?
	[ $got = 77 ] && grep -qF "$text" refused.out || die "$*: status $got: $(cat refused.out)"
}
mkdir -m 777 "$TMPDIR/others"
refused "open to others (mode 0777)" "$bin/valised" init "${server_settings[@]}" --state "$TMPDIR/others"
refused "open to others (mode 0777)" "$bin/valise-agent" run --set "state_dir=$TMPDIR/others"
refused "open to others (mode 0777)" "$bin/valise-agent" enrol VALISE1:AA --set "state_dir=$TMPDIR/others"
[ ! -e others/keys ] || die "keys were made there"
"$bin/valised" init "${server_settings[@]}" --state "$TMPDIR/open" --token-file open.token >/dev/null
chmod 755 open/keys
refused "keys: open to others (mode 0755)" "$bin/valised" run "${server_settings[@]}" --state "$TMPDIR/open"
refused "keys: open to others (mode 0755)" "$bin/valised" keys rotate "${server_settings[@]}" --state "$TMPDIR/open"
chmod 700 open/keys
chmod 777 open
refused "open: open to others (mode 0777)" "$bin/valised" run "${server_settings[@]}" --state "$TMPDIR/open"

say "make install puts all of it below DESTDIR, pages in the section that they name; uninstall leaves no file"
if [ "$BUILD" = "$TOP/build/release" ]; then
	in_make() { env -u MAKEFLAGS -u MAKELEVEL make -s -C "$TOP" DESTDIR="$TMPDIR/dest" PREFIX=/usr "$@" >make.out 2>&1 || die "make $*: $(cat make.out)"; }
	in_make install
	for p in "$BUILD"/bin/*; do
		p=${p##*/}
		"dest/usr/bin/$p" --version >/dev/null || die "$p"
		for section in 1 8; do
			page=dest/usr/share/man/man$section/$p.$section
			[ ! -e "$page" ] || head -n 1 "$page" | has "^.TH \"${p^^}\" $section " || die "$page: $(head -n 1 "$page")"
		done
		[ "$(find dest/usr/share/man -name "$p.?" | wc -l)" = 1 ] || die "no page of $p"
		[ -s "dest/usr/share/bash-completion/completions/$p" ] || die "bash, $p"
		[ -s "dest/usr/share/zsh/vendor-completions/_$p" ] || die "zsh, $p"
	done
	zsh -f -c 'print -l $fpath' | has -x /usr/share/zsh/vendor-completions || die "zsh does not look there"
	for text in FORMATS.md OPERATING.md openapi.yaml; do
		[ -s "dest/usr/share/doc/valise/docs/$text" ] || die "$text, which pages and messages name"
	done
	grep -q '^ExecStart=/usr/bin/valised ' dest/usr/lib/systemd/system/valised.service || die "the unit names another program"
	[ "$(find dest -type f | wc -l)" -gt 20 ] || die "little was installed: $(find dest -type f)"
	in_make uninstall
	[ -z "$(find dest ! -type d)" ] || die "left: $(find dest ! -type d)"
fi
if [ "$(id -u)" = 0 ]; then
	say "with the capabilities of the unit and no others it starts, tells systemd, and ends"
	unit=$TOP/deploy/systemd/valised.service
	caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr 'A-Z' 'a-z' | sed 's/cap_/+/g; s/ /,/g')
	grep -qx Type=notify "$unit" || die "the unit does not wait to be told"
	"$BUILD/tests/tools/datagrams" "$TMPDIR/notify" "$TMPDIR/told" &
	started+=("$!")
	wait_for 10 "the socket" test -S notify
	init_valised
	mkdir run
	NOTIFY_SOCKET=$TMPDIR/notify WATCHDOG_USEC=1000000 setpriv --bounding-set "-all,$caps" --inh-caps -all --no-new-privs \
		"$bin/valised" run "${server_settings[@]}" --set "listen.unix=$TMPDIR/run/s" --set listen.unix_group=nogroup \
		>>server.log 2>&1 &
	server_pid=$!
	started+=("$server_pid")
	told() { grep -q "^$1" told; }
	wait_for 60 "READY" told READY=1
	port=$(cat "$state/run/port") url=https://127.0.0.1:$port
	wants 200 GET /healthz
	[ "$(stat -c %a:%G run/s)" = 660:nogroup ] || die "the socket: $(stat -c %a:%G run/s)"
	grep -q "^CapBnd:.*$(setpriv --bounding-set "-all,$caps" grep CapBnd /proc/self/status | cut -f 2)" "/proc/$server_pid/status" ||
		die "other capabilities: $(grep Cap "/proc/$server_pid/status")"
	wait_for 60 "a sign of life for the watchdog" told WATCHDOG=1
	: >told
	kill -HUP "$server_pid"
	wait_for 60 "RELOADING" told RELOADING=1
	wait_for 60 "READY again" told READY=1
	stop_valised
	wait_for 10 "STOPPING" told STOPPING=1
fi
command -v systemd-analyze >/dev/null || skip "systemd-analyze is not there to judge the unit"
say "the units are what systemd understands, and well locked up"
# unit NAME MOST: of exposure, 0.0 to 10.0 as systemd counts it.
unit() {
	local score
	sed "s#/usr/local/bin#$bin#" "$TOP/deploy/systemd/$1.service" >"$1.service"
	systemd-analyze verify --man=no "./$1.service" >verify.out 2>&1 || die "$1: $(cat verify.out)"
	if grep -i "unknown\|invalid\|failed to parse" verify.out; then die "the unit $1"; fi
	if systemd-analyze security --offline=true "./$1.service" >security.out 2>&1; then
		score=$(tail -n 2 security.out | grep -o '[0-9]\+\.[0-9]' | tail -n 1)
		awk -v s="$score" -v most="$2" 'BEGIN { exit !(s > 0 && s <= most) }' || die "$1: exposure $score"
		echo "$1: exposure $score"
	fi
}
unit valised 2.8
unit valise-agent 3.4
if command -v systemd-sysusers >/dev/null; then
	mkdir -p root/etc
	systemd-sysusers --root="$TMPDIR/root" "$TOP/deploy/sysusers.d/valise.conf" >users.out 2>&1 || die "$(cat users.out)"
	for u in valised valised-keys valised-work; do
		grep -q "^$u:" root/etc/passwd || die "no user $u"
	done
fi
