#!/bin/bash
# Limits: per address, body sizes, slow clients; a proxy in front on a Unix socket.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised limit.client_rate=1 limit.client_burst=60 web.idle=3s "listen.unix=$TMPDIR/front.sock" \
	web.connections_per_ip=20

say "one address may not ask without end; it is told when to come back"
# many N CURL OPTION...: N requests as fast as they go; prints how many were refused.
many() {
	local n=$1
	shift
	curl -skZ --no-progress-meter --parallel-max 10 -o /dev/null -w '%{http_code}\n' "$@" "$url/healthz?n=[1-$n]" | grep -c 429 || true
}
[ "$(many 300)" -ge 100 ] || die "300 requests at once were answered"
for _ in $(seq 20); do
	api GET /healthz
	[ "$status" = 200 ] || break
	many 60 >/dev/null # some were given back meanwhile
done
[ "$status" = 429 ] || die "status $status right after that"
[ "$(header Retry-After)" -ge 1 ] || die "Retry-After: $(header Retry-After)"
json .code | has -x rate
answers_again() { [ "$(curl -sk -o /dev/null -w '%{http_code}' "$url/healthz")" = 200 ]; }
wait_for 10 "the limit's end" answers_again

say "behind a proxy each client has its own limit"
front() {
	curl -s --unix-socket "$TMPDIR/front.sock" -o /dev/null -w '%{http_code}' -H "X-Real-IP: $1" http://phone.example/healthz
}
[ "$(url=http://a many 300 --unix-socket "$TMPDIR/front.sock" -H "X-Real-IP: 192.0.2.1")" -ge 100 ] ||
	die "300 requests of one client through the proxy"
[ "$(front 192.0.2.2)" = 200 ] || die "another client pays for it"
[ "$(front 2001:db8::1)" = 200 ] || die "IPv6 through the proxy"
[ "$(curl -s --unix-socket "$TMPDIR/front.sock" -o /dev/null -w '%{http_code}' http://phone.example/metrics)" = 401 ] ||
	die "metrics through the proxy"
stop_valised
start_valised limit.client_rate=0 web.idle=3s "listen.unix=$TMPDIR/front.sock" web.connections_per_ip=20

say "bodies longer than the route takes are refused at once"
auth=$token
head -c 10000000 /dev/zero >big
wants 413 POST /v1/tickets --data-binary @big
# The answer is read, not a reset, whatever is under way then.
for _ in $(seq 20); do
	wants 413 POST /v1/tickets -H "Expect:" --data-binary @big
	json .code | has -x too_big
	auth='' wants 401 POST /v1/releases -H "Expect:" --data-binary @big
done
# The length is not announced: counted.
api POST /v1/tickets -H "Transfer-Encoding: chunked" --data-binary @big
[ "$status" = 413 ] || die "chunked: $status"
head -c 20000000 /dev/zero >bigger
wants 413 POST /v1/tickets -H "Transfer-Encoding: chunked" -H "Expect:" --data-binary @bigger
wants 413 GET /healthz -H "Content-Length: 5" --data-binary hello
wants 200 GET /healthz

say "junk instead of JSON"
for junk in '' '{' '[]' '{"name": 1e400}' '{"a":1,"a":2}' '{"name":"\ud800"}' 'null'; do
	wants 400 POST /v1/tokens -H "Expect:" --data-binary "$junk"
done
wants 413 POST /v1/tokens -H "Expect:" --data-binary "$(printf '[%.0s' {1..100})"

say "clients that say nothing, or half a request, are let go"
exec {idle}<>"/dev/tcp/127.0.0.1/$port"
exec {half}<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /hea' >&"$half" 2>/dev/null || true
ticks() { awk '{ print $14 + $15 }' "/proc/$(children web)/stat"; }
before=$(ticks)
timeout 60 cat <&"$idle" >/dev/null || die "a silent connection stays"
[ $(($(ticks) - before)) -lt 50 ] || die "a silent connection keeps a processor busy"
timeout 60 cat <&"$half" >/dev/null || die "half a request stays"
exec {idle}>&- {half}>&-

say "one byte now and then is not enough: in a head, in a body, over TLS"
# dribble BEGINNING: and then letters, for as long as the server listens.
dribble() {
	rm -f gone
	{
		printf "$1"
		while [ ! -e gone ]; do
			printf a
			sleep 0.3
		done
	} 2>/dev/null | {
		timeout 200 openssl s_client -quiet -no_ign_eof -nocommands -connect "127.0.0.1:$port" >dribble.out 2>/dev/null || true
		touch gone
	}
}
for begin in 'GET /healthz HTTP/1.1\r\nHost: a\r\nX: ' 'POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n'; do
	from=$SECONDS
	dribble "$begin" || true
	[ $((SECONDS - from)) -lt 180 ] || die "still there after $((SECONDS - from)) s: $begin"
	[ ! -s dribble.out ] || die "$(cat dribble.out)"
done
few_bytes() { curl -s --unix-socket "$TMPDIR/front.sock" -H "Authorization: Bearer $token" http://a/metrics | awk '$1 == "valise_http_refused_slow_total" { print $2 }'; }
[ "$(few_bytes)" -ge 2 ] || die "counted: $(few_bytes)"

say "nor is reading an object a byte at a time"
sha=$(printf 'c%.0s' {1..64})
mkdir -p "$state/objects/cc"
truncate -s 200M "$state/objects/cc/${sha:2}"
chown -R --reference="$state/objects" "$state/objects/cc" 2>/dev/null || true
from=$SECONDS
printf 'GET /objects/%s HTTP/1.1\r\nHost: a\r\n\r\n' "$sha" >request
{
	cat request
	while [ ! -e read ]; do sleep 0.1; done
} | openssl s_client -quiet -nocommands -connect "127.0.0.1:$port" 2>/dev/null | {
	while [ $((SECONDS - from)) -lt 180 ] && ! grep -q 'valise_http_connections_open 1$' now 2>/dev/null; do
		dd bs=1 count=1 status=none >/dev/null
		curl -s --unix-socket "$TMPDIR/front.sock" -H "Authorization: Bearer $token" http://a/metrics >now
		sleep 0.2
	done
	touch read
} || true
[ $((SECONDS - from)) -lt 180 ] || die "still reading"

say "who moves enough stays, however long it takes"
got=0
curl -sk --limit-rate 200k --max-time 12 -o slow.out "$url/objects/$sha" || got=$?
[ $got = 28 ] || die "curl ended with $got, not by its own clock, after $(stat -c %s slow.out) bytes"
wants 200 GET /healthz

say "one address cannot take all connections"
fds=()
for _ in $(seq 40); do
	exec {fd}<>"/dev/tcp/127.0.0.1/$port" || break
	fds+=("$fd")
done
few() { [ "$(curl -s --unix-socket "$TMPDIR/front.sock" -H "Authorization: Bearer $token" -H "X-Real-IP: 192.0.2.9" http://a/metrics | awk '$1 == "valise_http_connections_open" { print $2 }')" -le 22 ]; }
wait_for 10 "a bounded number of connections" few
for fd in "${fds[@]}"; do exec {fd}>&-; done
