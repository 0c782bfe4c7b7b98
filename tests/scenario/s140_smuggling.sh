#!/bin/bash
# Requests that two readers could end in different places: none gets a second response, nearly all are
# refused; by valised alone and behind nginx.  The table: tests/hostile/http/smuggling.
. "$TOP/tests/support/lib.sh"
. "$TOP/tests/support/front.sh"
LC_ALL=C
inner='GET /healthz HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n\r\n'
inner_n=$(printf "$inner" | wc -c)

# written TEXT: the bytes of a request of the table.
written() {
	local text=${1//INn/$inner_n} fill
	text=${text//INx/$(printf %x "$inner_n")}
	text=${text//IN/$inner}
	while [[ $text =~ A([0-9]+) ]]; do
		fill=$(printf "%${BASH_REMATCH[1]}s" "" | tr ' ' a)
		text=${text/"${BASH_REMATCH[0]}"/$fill}
	done
	printf "$text"
}

# ask: sends the file `request`; what comes back is in `answer` when the server has ended the connection, or
# (then the file `open` is there) nothing came for two seconds after an answer.
hold() {
	local silent=0 n=0 old
	for _ in $(seq 400); do
		[ ! -e gone ] || return 0
		old=$n
		n=$(stat -c %s answer)
		silent=$((n > 0 && n == old ? silent + 1 : 0))
		[ $silent -lt 40 ] || break
		sleep 0.05
	done
	touch open
}
ask() {
	rm -f gone open
	: >answer
	{
		cat request
		hold
	} 2>/dev/null | {
		timeout 40 openssl s_client -quiet -no_ign_eof -nocommands -connect "127.0.0.1:$port" >answer 2>/dev/null || true
		touch gone
	} || true # who is refused early does not get rid of all its request
}

# statuses: of the responses in `answer`, read as a client does: head, then as many bytes as it says.
statuses() {
	local rest head n
	rest=$(tr -d '\0' <answer && echo .)
	rest=${rest%.}
	while [[ $rest == HTTP/1* ]]; do
		echo "${rest:9:3}"
		head=${rest%%$'\r\n\r\n'*}
		[[ $head =~ [Ll]ength:\ ([0-9]+) ]] && n=${BASH_REMATCH[1]} || n=0
		rest=${rest:$((${#head} + 4 + n))}
	done
}

# judge WANTED WHAT: of the last answer.
judge() {
	local got
	got=$(statuses | xargs)
	case $1 in
	no) [[ $got =~ ^([45][0-9][0-9])?$ ]] && [ "$got" != 401 ] ;;
	1) [[ $got =~ ^[0-9]+$ ]] ;;
	2) [[ $got =~ ^[0-9]+\ [0-9]+$ ]] ;;
	*) false ;;
	esac || die "$2: wanted $1, got \"$got\": $(head -c 2000 answer | tr -d '\0')"
}

# probes COLUMN: all of the table; counts $asked and $refused.
probes() {
	local class what direct nginx text wanted
	asked=0 refused=0
	while IFS='|' read -r class what direct nginx text; do
		case $class in '#'* | '') continue ;; esac
		wanted=${!1// /}
		written "${text# }" >request
		ask
		judge "$wanted" "$class,$what"
		[ "$1" != direct ] || [ "$wanted" = 2 ] || [ ! -e open ] || die "$class,$what: the connection stays open"
		asked=$((asked + 1))
		[ "$wanted" != no ] || refused=$((refused + 1))
	done <"$TOP/tests/hostile/http/smuggling"
	echo "$asked requests, $refused refused"
}

init_valised
start_valised limit.client_rate=0

say "what is fine is fine, also twice on one connection"
written 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz?x=1 HTTP/1.1\r\nhost:a:80\r\nX-Empty:\r\nX:  \ty\r\nConnection: close\r\n\r\n' >request
ask
[ "$(statuses | xargs)" = "200 200" ] || die "$(cat answer)"

say "valised alone"
probes direct
[ "$asked" -ge 60 ] || die "only $asked requests in the table"
[ "$(metric http_refused_ambiguous_total)" -ge 35 ] || die "counted: $(metric http_refused_ambiguous_total)"

say "what no client would send does no harm"
for junk in '\x16\x03\x01\x02\x00\x01\x00\x01' '\r\n\r\n\r\n' ' ' 'GET' 'GET \r\n\r\n' 'GET /\r\n\r\n' '\0\0\0\0\r\n\r\n' ':\r\n\r\n'; do
	printf "$junk" >junk
	timeout 20 openssl s_client -quiet -no_ign_eof -nocommands -connect "127.0.0.1:$port" <junk >answer 2>/dev/null || true
	[[ "$(statuses)" != 2* ]] || die "answered: $junk"
	timeout 20 cat junk >"/dev/tcp/127.0.0.1/$port" || true # without TLS
done
wants 200 GET /healthz
stop_valised

say "behind nginx"
start_behind limit.client_rate=0
start_front
probes nginx
wants 200 GET /healthz
