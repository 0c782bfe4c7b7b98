#!/bin/bash
# Online keys that told handsets a time far ahead (stolen, or the server's clock was wrong): what is valid looks expired
# to them; new online keys, named by a new root that people signed, end that.
. "$TOP/tests/support/handset.sh"
command -v faketime >/dev/null || skip "faketime is missing: apt install faketime"
preload=$(faketime -f +0 env | sed -n 's/^LD_PRELOAD=//p')

# restart_at OFFSET: the server at the same address with its clock moved.
restart_at() {
	stop_valised
	rm -f "$state/run/port"
	FAKETIME=$1 LD_PRELOAD=$preload "$bin/valised" run "${server_settings[@]}" --set poll.interval=1s \
		--set limit.device_rate=0 --set limit.client_rate=0 --set "listen.port=$port" >>server.log 2>&1 &
	server_pid=$!
	started+=("$server_pid")
	wait_for 30 "the server" curl -fsk -o /dev/null "$url/healthz"
}
# The handset's trusted time, days from now.
days_ahead() {
	local s
	s=$(od -An -t d8 -j 64 -N 8 "$1")
	echo $(((s - $(date +%s)) / 86400))
}
newest_record() {
	local a b
	a=$(od -An -t u8 -j 8 -N 8 handset/commit.0) b=$(od -An -t u8 -j 8 -N 8 handset/commit.1)
	[ "$a" -gt "$b" ] && echo handset/commit.0 || echo handset/commit.1
}
refused_as_expired() {
	local got=0
	agent once >refused.log 2>&1 || got=$?
	cat refused.log >>agent.log
	[ "$got" = 76 ] || die "status $got: $(tail -n 3 refused.log)"
	grep -Eq 'director: timestamp: version [0-9]+ expired at .*, it is .* now' refused.log || die "$(tail -n 3 refused.log)"
	grep -q 'hint=' refused.log || die "no advice: $(tail -n 3 refused.log)"
}
# Keys that follow, and roots that name them.
rotate() {
	"$bin/valised" keys rotate "${server_settings[@]}" >rotate.out 2>&1 || die "keys rotate: $(cat rotate.out)"
	reloads=$(grep -c mgr.reloaded server.log || true)
	kill -HUP "$server_pid"
	wait_for 20 "the reload" reloaded
	for repo; do
		valise root rotate "$repo" "$repo.json" >root.out 2>&1 || die "root rotate: $(cat root.out)"
		valise -y root sign "$repo.json" >root.out 2>&1 || die "root sign: $(cat root.out)"
		valise -y root publish "$repo.json" >root.out 2>&1 || die "root publish: $(cat root.out)"
	done
}
reloaded() {
	[ "$(grep -c mgr.reloaded server.log)" -gt "$reloads" ]
}

start_organisation
phone 1.0 good
roll_out 1.0
enrol_handset
once 0
[ "$(on_server .release.applied)" = acme/1.0 ] || die "1.0 does not run"

say "the server's time is 60 days ahead; the handset believes what its keys sign"
phone 1.1 good
restart_at +60d
roll_out 1.1
once 0
days=$(days_ahead "$(newest_record)")
[ "$days" -ge 58 ] || die "trusted time is $days days ahead: nothing to show"

say "the time is right again, and all that is signed looks expired"
restart_at +0
phone 1.2 good
roll_out 1.2
refused_as_expired
refused_as_expired
[ "$(days_ahead "$(newest_record)")" -ge 58 ] || die "trusted time fell by itself"

say "new keys of the image repository do not touch the time"
rotate image
refused_as_expired

say "new keys of the director end it, and what was wanted comes"
rotate director
once 0
[ "$(on_server .release.applied)" = acme/1.2 ] || die "1.2 does not run: $(tail -n 3 agent.log)"
grep -q 'time.anew.*cause="the director has other keys"' agent.log || die "not said"
days=$(days_ahead "$(newest_record)")
[ "$days" -le 1 ] || die "trusted time is still $days days ahead"

say "and everything goes on"
phone 1.3 good
roll_out 1.3
once 0
[ "$(on_server .release.applied)" = acme/1.3 ] || die "1.3 does not run"
