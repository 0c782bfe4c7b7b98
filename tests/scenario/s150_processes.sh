#!/bin/bash
# The processes of valised: what each has and has not, restarts, reload, draining.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised web.idle=30s

fds() {
	ls -l "/proc/$1/fd" 2>/dev/null | awk 'NF > 8 { print $11 }'
}

say "each duty runs, as what it should be"
# web answers as soon as it is ready itself; the filter comes last.
locked_up() {
	local p
	[ "$(children work | wc -l)" = 2 ] || return
	for p in $(children keys) $(children web) $(children work); do
		grep -q '^Seccomp:[[:space:]]*2' "/proc/$p/status" || return
	done
}
wait_for 30 "all processes without their rights" locked_up
keys=$(children keys) web=$(children web)
[ -n "$keys" ] && [ -n "$web" ] && [ "$(children work | wc -l)" = 2 ] || die "children: $(ps -ef | grep valised)"
for p in $keys $web $(children work); do
	grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$p/status" || die "$p may gain privileges"
	grep -q '^Seccomp:[[:space:]]*2' "/proc/$p/status" || die "$p has no system call filter"
	if [ "$(id -u)" = 0 ]; then
		[ "$(awk '/^Uid:/ { print $2 $3 $4 }' "/proc/$p/status")" = "$(printf '%s%s%s' "$(id -u nobody)" "$(id -u nobody)" "$(id -u nobody)")" ] ||
			die "$p: $(grep Uid "/proc/$p/status")"
		grep -q '^Groups:[[:space:]]*$' "/proc/$p/status" || die "$p: $(grep Groups "/proc/$p/status")"
		grep -q '^CapEff:[[:space:]]*0000000000000000' "/proc/$p/status" || die "$p: $(grep Cap "/proc/$p/status")"
	fi
done

say "web has no key file and no way to one; keys and work have no file and no network"
if fds "$web" | has /keys; then die "web: $(fds "$web")"; fi
for p in $keys $(children work); do
	if fds "$p" | grep -v '/keys/counters$' | grep -E '^/' | has -v -E '/dev/null|server.log'; then die "$p: $(fds "$p")"; fi
	if grep -q "$(printf ':%04X' "$port")" "/proc/$p/net/tcp" && fds "$p" | has 'socket:.*LISTEN'; then die "$p listens"; fi
done
if fds "$keys" | has valise.db; then die "keys: $(fds "$keys")"; fi
if [ "$(id -u)" = 0 ]; then
	[ "$(readlink "/proc/$web/root")" = "$state" ] || die "web's root: $(readlink "/proc/$web/root")"
	[ "$(readlink "/proc/$keys/root")" = "$state/empty" ] || die "keys' root: $(readlink "/proc/$keys/root")"
	for p in $(children work); do
		[ "$(readlink "/proc/$p/root")" = "$state/empty" ] || die "work's root: $(readlink "/proc/$p/root")"
	done
	[ "$(stat -c %a:%u "$state/keys")" = 700:0 ] || die "keys/: $(stat -c %a:%u "$state/keys")"
	if setpriv --reuid nobody --clear-groups cat "$state/keys/session" >/dev/null 2>&1; then die "nobody reads keys"; fi
	if setpriv --reuid nobody --clear-groups mv "$state/keys" "$state/old" 2>/dev/null; then die "nobody moves keys"; fi
fi

say "a second server on the same state is refused"
if "$bin/valised" run "${server_settings[@]}" 2>second.out; then die "two servers"; fi
grep -q "another valised" second.out || die "$(cat second.out)"

say "children that are killed come back; requests go on"
for duty in work keys web; do
	old=$(children $duty | sed -n 1p)
	kill -KILL "$old"
	wait_for 20 "the end of $duty" is_gone "$old"
	back() { [ "$(children $duty | wc -l)" = "$1" ]; }
	wait_for 20 "a new $duty" back "$([ $duty = work ] && echo 2 || echo 1)"
	wait_for 20 "answers" curl -fsk -o /dev/null "$url/healthz"
done
grep -q "child.ended duty=web" server.log || die "not logged"

say "reload: bad settings change nothing"
conf=$TMPDIR/valised.conf
stop_valised
echo "poll.interval = 7s" >"$conf"
server_settings+=(--config "$conf")
start_valised
web=$(children web)
echo "poll.intervall = 7s" >"$conf"
kill -HUP "$server_pid"
said() { grep -q "$1" server.log; }
wait_for 10 "the complaint" said "mgr.reload.*valised.conf:1"
[ "$(children web)" = "$web" ] || die "web was changed"

say "reload: a new generation serves, the old one finishes what it has, nothing is lost"
echo "poll.interval = 9s" >"$conf"
# Ten clients ask all the time.
for i in 1 2 3 4 5 6 7 8 9 10; do
	(
		while [ ! -e stop ]; do
			curl -sk -o /dev/null -w '%{http_code}\n' "$url/healthz" || echo failed
		done
	) >"asked$i" &
done
kill -HUP "$server_pid"
wait_for 20 "the new generation" said "mgr.reloaded"
wait_for 20 "the old web's end" is_gone "$web"
touch stop
wait $(jobs -p | grep -vx "$server_pid")
if cat asked* | has -vx 200; then die "lost: $(cat asked* | sort | uniq -c)"; fi

say "reload: a new certificate is served"
rm "$state/tls/cert.pem"
mv "$state/tls/key.pem" "$state/tls/old.pem"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$state/tls/key.pem" -out "$state/tls/cert.pem" -subj /CN=new -days 10 2>/dev/null
kill -HUP "$server_pid"
new_cert() { openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | openssl x509 -noout -subject | grep 'CN = new' >/dev/null; }
wait_for 20 "the new certificate" new_cert

say "a certificate that does not fit its key keeps the old generation"
mv "$state/tls/old.pem" "$state/tls/key.pem"
kill -HUP "$server_pid"
wait_for 20 "the complaint" said "certificate is for another key"
wait_for 20 "the decision" said "keeping the running one"
new_cert || die "the old certificate is gone"

say "SIGTERM: a request under way is answered, new connections are not taken, then all ends"
(
	printf 'GET /healthz HTTP/1.1\r\nHost: a\r\n'
	touch half
	while [ ! -e go ]; do sleep 0.05; done
	printf 'Connection: close\r\n\r\n'
	while [ ! -s late.out ] && [ ! -e over ]; do sleep 0.05; done
) | openssl s_client -quiet -no_ign_eof -nocommands -connect "127.0.0.1:$port" >late.out 2>/dev/null &
asking=$!
wait_for 10 "half a request" test -e half
# Its connection, and the one that asks.
two_are_open() { [ "$(metric http_connections_open)" -ge 2 ]; }
wait_for 10 "its connection" two_are_open
kids=$(cat "/proc/$server_pid/task/$server_pid/children")
kill -TERM "$server_pid"
touch go
wait_for 40 "the server's end" is_gone "$server_pid"
touch over
wait $asking || true
grep -q '^HTTP/1.1 200' late.out || die "the request under way was not answered: $(cat late.out)"
for k in $kids; do is_gone "$k" || die "process $k is left"; done
grep -q "mgr.stopped" server.log || die "no orderly end"

say "a mgr that is killed takes everybody along"
rm "$state"/tls/*
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$state/tls/key.pem" -out "$state/tls/cert.pem" -subj /CN=new -days 10 2>/dev/null
start_valised
kill_valised
