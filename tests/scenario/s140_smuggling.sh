#!/bin/bash
# Requests that two readers could understand differently: refused with 400, connection ended.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised listen.tls=no web.idle=5s

# raw TEXT: sends it (printf escapes), prints everything that comes back until the server closes or
# five seconds pass.
raw() {
	local fd
	exec {fd}<>"/dev/tcp/127.0.0.1/$port"
	(
		trap '' PIPE # it may close before it has read all
		printf "$1" >&"$fd"
	) 2>/dev/null || true
	timeout 5 cat <&"$fd" || true
	exec {fd}>&-
}
# refused WHAT TEXT: 400, nothing but 400 (libmicrohttpd sends the head of its own refusals twice),
# and the connection is closed.
refused() {
	raw "$2" >answer
	head -n 1 answer | grep -q '^HTTP/1.[01] 400' || die "$1: $(cat answer)"
	if grep '^HTTP/1' answer | grep -qv '^HTTP/1.[01] 400'; then die "$1: more was answered: $(cat answer)"; fi
	# libmicrohttpd refuses some itself, then without a body of ours; but always with the end.
	grep -qi '^Connection: close' answer || die "$1: the connection stays open: $(cat answer)"
}
smuggled='GET /healthz HTTP/1.1\r\nHost: inner\r\n\r\n'

say "what is fine is fine, also twice on one connection"
raw 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >answer
[ "$(grep -c '^HTTP/1.1 200' answer)" = 2 ] || die "$(cat answer)"

say "lengths"
refused "both" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$smuggled"
refused "both, other order" "POST /v1/session HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n$smuggled"
refused "two lengths" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n$smuggled"
refused "two equal lengths" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"
refused "a list" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}"
refused "a sign" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}"
refused "hex" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\n{}"

say "encodings"
refused "unknown" "POST /v1/session HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n"
refused "two codings" "POST /v1/session HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
refused "twice" "POST /v1/session HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
refused "tab" "POST /v1/session HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"
refused "in 1.0" "POST /v1/session HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

say "names and hosts"
refused "blank before the colon" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length : 35\r\n\r\n$smuggled"
refused "tab before the colon" "POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length\t: 35\r\n\r\n$smuggled"
refused "no host" "GET /healthz HTTP/1.1\r\n\r\n"
refused "two hosts" "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
refused "two tokens" "GET /v1/status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer vt_a\r\nAuthorization: Bearer vt_b\r\n\r\n"
refused "two signatures" "POST /v1/session HTTP/1.1\r\nHost: a\r\nSignature: sig=:a:\r\nSignature: sig=:b:\r\nContent-Length: 0\r\n\r\n"

say "targets"
refused "absolute" "GET http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n"
refused "dots" "GET /objects/../healthz HTTP/1.1\r\nHost: a\r\n\r\n"
refused "double slash" "GET //healthz HTTP/1.1\r\nHost: a\r\n\r\n"
refused "bad escape" "GET /healthz%%zz HTTP/1.1\r\nHost: a\r\n\r\n"
refused "fragment" "GET /healthz#x HTTP/1.1\r\nHost: a\r\n\r\n"

say "what no client would send does no harm"
raw '\x16\x03\x01\x02\x00\x01\x00\x01' >/dev/null
raw '\r\n\r\n\r\n' >/dev/null
raw "GET /$(printf 'a%.0s' {1..40000}) HTTP/1.1\r\nHost: a\r\n\r\n" >answer
if grep -q '^HTTP/1.1 200' answer; then die "a path of 40 kB was answered"; fi
raw "GET /healthz HTTP/1.1\r\nHost: a\r\nX: $(printf 'a%.0s' {1..60000})\r\n\r\n" >answer
if grep -q '^HTTP/1.1 200' answer; then die "60 kB of header were answered"; fi
wants 200 GET /healthz

say "it is counted"
[ "$(metric http_refused_ambiguous_total)" -ge 10 ] || die "counted: $(metric http_refused_ambiguous_total)"
