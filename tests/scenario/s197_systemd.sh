#!/bin/bash
# Under a real systemd, in the sandboxes of the units: from `make install` to a phone that runs, updates and stops.
. "$TOP/tests/support/lib.sh"
. "$TOP/tests/support/systemd.sh"
[ "$BUILD" = "$TOP/build/release" ] || skip "make install installs build/release"
for t in mkfs.erofs:erofs-utils qemu-system-x86_64:qemu-system-x86 jq:jq curl:curl; do
	PATH=$PATH:/usr/sbin command -v "${t%:*}" >/dev/null || skip "${t%:*} is missing: apt install ${t#*:}"
done
env -u MAKEFLAGS -u MAKELEVEL make -s -C "$TOP" DESTDIR="$TMPDIR/dest" install >make.out 2>&1 || die "make install: $(cat make.out)"
systemd_boot "$TMPDIR/dest"

show() { inside systemctl show --value -p "$2" "$1"; }
# is UNIT PROPERTY VALUE
is() { [ "$(show "$1" "$2")" = "$3" ]; }
must() { is "$@" || die "$1: $2 is $(show "$1" "$2"), not $3"; }
serves() { [ "$(inside curl -sk -o /dev/null -w '%{http_code}' "https://127.0.0.1/healthz")" = 200 ]; }
valise() { inside valise -q "$@"; }
agent() { inside valise-agent "$@"; }
# processes UNIT: as "pid user name", of all that runs in it.
processes() { inside ps -o pid=,user:16=,comm= -p "$(inside cat "/sys/fs/cgroup/system.slice/$1.service/cgroup.procs" | paste -sd,)"; }

say "what is not set up yet is not started, without a failure"
for unit in valised valise-agent; do
	inside systemctl start $unit
	must $unit ConditionResult no
	must $unit ActiveState inactive
done

say "as the guides say: users, settings, init, start; systemctl returns when it serves"
inside systemd-sysusers 2>/dev/null
inside install -D -m 644 -t /etc/valise /usr/local/share/doc/valise/valised.conf
printf '%s\n' listen.port=443 listen.unix=/run/valised/front.sock listen.unix_group=nogroup disk.reserve=16M \
	poll.interval=1s limit.device_rate=0 limit.client_rate=0 | inside tee -a /etc/valise/valised.conf >/dev/null
inside valised init --token-file /root/bootstrap >/dev/null
inside systemctl enable --now valised 2>/dev/null
must valised ActiveState active
must valised StatusText serving
serves || die "it does not serve"
inside curl -sf --unix-socket /run/valised/front.sock -o /dev/null http://valise/healthz || die "no service on the socket for a front"

say "each duty has a user of its own, and no right"
for duty in keys:valised-keys work:valised-work delta:valised-work web:valised; do
	processes valised | has " ${duty#*:} .*valised-${duty%:*}\$" || die "valised-${duty%:*} is not ${duty#*:}: $(processes valised)"
done
main=$(show valised MainPID)
for pid in $(processes valised | awk -v main="$main" '$1 != main { print $1 }'); do
	inside cat "/proc/$pid/status" >status.out
	for line in CapEff:.0000000000000000 CapPrm:.0000000000000000 NoNewPrivs:.1 Seccomp:.2; do
		grep -q "^$line\$" status.out || die "$(grep Name status.out) has no $line"
	done
done

say "a reload changes settings and cuts nobody off"
inside sh -c 'echo log.level=debug >>/etc/valise/valised.conf'
inside systemctl reload valised
wait_for 20 "the new settings" eval 'is valised ActiveState active && inside journalctl -u valised | has mgr.reloaded'
must valised MainPID "$main"
serves || die "it does not serve after a reload"

say "lines of the journal have their level"
of_level() { inside journalctl -u valised -p "$1..$1" -o cat; }
wait_for 20 "a line of level debug" eval 'of_level debug | has ^generation.ended'
of_level info | has '^mgr.ready port=443' || die "no line of level info"

say "uploads, verification and the database work in the sandbox"
"$TOP/deploy/images/build" tiny share/tiny >images.log 2>&1 || skip "no image can be built here: $(tail -n 1 images.log)"
valise init --server https://127.0.0.1 --pin "$(inside valised pin)" --token-file /root/bootstrap --no-passphrase --product tiny-phone >org.out 2>&1 ||
	die "valise init: $(cat org.out)"
valise publish /srv/share/tiny >/dev/null
valise -y rollout start tiny-phone/1.0.0 --all >/dev/null

say "the agent in its sandbox: staging, the jail of the phone, a healthy guest"
ticket=$(valise -o json enrol new --no-qr | jq -r .ticket)
inside sh -c 'printf "%s\n" disk.reserve=16M disk.data=64M >/etc/valise/agent.conf'
agent enrol --model compact --name desk "$ticket" >/dev/null
inside systemctl enable --now valise-agent 2>/dev/null
must valise-agent ActiveState active
healthy() { [ "$(agent status -o json | jq -r .vm.healthy)" = true ]; }
wait_for 120 "a healthy phone" healthy
engine=$(processes valise-agent | awk '/qemu/ { print $1 }')
processes valise-agent | has " valise-vm .*qemu" || die "the engine's user: $(processes valise-agent)"
for ns in mnt pid net ipc uts; do
	[ "$(inside readlink "/proc/$engine/ns/$ns")" != "$(inside readlink "/proc/$(show valise-agent MainPID)/ns/$ns")" ] ||
		die "the engine shares the agent's $ns namespace"
done

say "an update by a delta: made, fetched and applied in the sandboxes"
cp -r share/tiny share/tiny-2
seq 100000 >>share/tiny-2/vmlinux
sed -i 's/"version": "1.0.0"/"version": "1.1.0"/' share/tiny-2/release.in.json
valise publish /srv/share/tiny-2 >/dev/null
delta_is() { [ "$(valise -o json release show tiny-phone/1.1.0 | jq -r '.deltas[0].state')" = "$1" ]; }
wait_for 60 "the delta" delta_is made
valise -y rollout start tiny-phone/1.1.0 --all >/dev/null
runs() { [ "$(agent status -o json | jq -r .release)" = "$1" ]; }
wait_for 60 "the update" runs tiny-phone/1.1.0
wait_for 120 "a healthy phone" healthy
staged=$(inside journalctl -u valise-agent -o cat | grep '^staged release=tiny-phone/1.1.0')
case $staged in *delta_bytes=0) die "no delta was used: $staged" ;; esac

say "whoever kills the main process: systemd starts it again, and nothing of the old life stays"
inside kill -KILL "$(show valise-agent MainPID)" "$(show valised MainPID)"
restarted() { is "$1" NRestarts "$2" && is "$1" ActiveState active; }
wait_for 30 "the server's next life" restarted valised 1
serves || die "it does not serve after a restart"
wait_for 30 "the agent's next life" restarted valise-agent 1
is_gone_inside() { ! inside test -d "/proc/$1"; }
is_gone_inside "$engine" || die "the engine outlived its unit"
wait_for 120 "a healthy phone" healthy

say "a server that hangs is ended and started again by the watchdog"
inside mkdir -p /run/systemd/system/valised.service.d
inside sh -c 'printf "[Service]\nWatchdogSec=2\n" >/run/systemd/system/valised.service.d/test.conf'
inside systemctl daemon-reload
inside systemctl restart valised
inside kill -STOP "$(show valised MainPID)"
wait_for 30 "the watchdog" restarted valised 1
wait_for 30 "an answer" serves

say "a stop lets transfers end, and shuts the phone down in order"
object=$(inside sh -c 'ls -S /var/lib/valised/objects/*/* | head -n 1')
inside curl -sfk --limit-rate 4M -o /tmp/object "https://127.0.0.1/objects/$(tr -d / <<<"${object#/var/lib/valised/objects/}")" &
download=$!
wait_for 20 "the download's first bytes" inside test -s /tmp/object
inside systemctl stop valised
wait $download || die "the stop cut the download: $?"
inside cmp "$object" /tmp/object || die "half an object"
must valised Result success
inside systemctl stop valise-agent
must valise-agent Result success
inside journalctl -u valise-agent -o cat | tail -n 3 | has '^vm.exited slot=. reason=stopped planned=yes' || die "the phone did not end in order"
if inside journalctl -u valise-agent -o cat | grep '^vm.started' | grep -v 'weak=""'; then die "no full sandbox for the phone"; fi
inside journalctl -u valise-agent -u valised -o cat -p warning
