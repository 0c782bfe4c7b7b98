# tests/support/lib.sh - for scenario scripts in bash: `. "$TOP/tests/support/lib.sh"`.
#
# A script runs in its own $TMPDIR with $TOP and $BUILD set (tests/support/run).  What is started
# here is ended when the script ends.  Nothing sleeps for a fixed time: wait_for polls a condition.
# shellcheck shell=bash disable=SC2034

set -eu -o pipefail
bin=$BUILD/bin
cd "$TMPDIR"
unset VALISE_HOME VALISE_SERVER VALISE_PIN VALISE_TOKEN VALISE_PASSPHRASE_FILE XDG_CONFIG_HOME
export HOME=$TMPDIR/home
mkdir -p "$HOME"
started=() # process ids to end

say() {
	echo "# $*"
}

# has GREP-ARGUMENT...: whether standard input matches.  All of it is read: grep -q ends at the first match, and who
# writes on then fails, which pipefail tells.
has() {
	grep "$@" | cat >/dev/null
}

# A failed expectation: says why and what the server said last.
die() {
	echo "FAILED: $*"
	for log in "$TMPDIR"/*.log; do
		[ -f "$log" ] && {
			echo "--- ${log##*/}"
			tail -n 40 "$log"
		}
	done
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.  The seconds are those of a machine that has
# nothing else to do; one that has may take several times as long.
wait_for() {
	local until=$((SECONDS + 4 * $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || die "waited in vain for $what"
		sleep 0.05
	done
}

# part FILE OFFSET BYTES: to standard output (unlike head in a pipe, it kills nobody).
part() {
	dd if="$1" bs=65536 iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none
}

is_gone() {
	[ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

end_all() {
	local pid
	for pid in "${started[@]}"; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	for pid in "${started[@]}"; do
		for _ in $(seq 100); do
			is_gone "$pid" && break
			sleep 0.05
		done
		kill -KILL "$pid" 2>/dev/null || true
	done
}
trap end_all EXIT

# ---- a server -------------------------------------------------------------------------------

# Settings that every test server has.  As root it gives its rights up to `nobody`.
state=$TMPDIR/state
server_settings=(--state "$state" --set listen.address=127.0.0.1 --set listen.port=0
	--set log.level=debug --set disk.reserve=16M)
if [ "$(id -u)" = 0 ]; then
	server_settings+=(--set user=nobody)
else
	server_settings+=(--set user=)
fi

# Makes $state; sets $token (admin) and $pin.
init_valised() {
	"$bin/valised" init "${server_settings[@]}" --token-file "$TMPDIR/admin.token" >"$TMPDIR/init.out" ||
		die "valised init"
	token=$(cat "$TMPDIR/admin.token")
	pin=$("$bin/valised" pin "${server_settings[@]}")
}

# A port below those that the system gives out by itself, so that a server that is ended and started
# again finds it free: another test's connection could have it by then.
free_port() {
	local first p=0
	read -r first _ </proc/sys/net/ipv4/ip_local_port_range
	while [ "$first" -gt 12000 ]; do
		p=$((10000 + RANDOM % (first - 10000)))
		(: <>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || break
	done
	echo "$p"
}

# start_valised [SETTING...]: starts it on $state and waits until it serves; sets $server_pid,
# $port, $url.  Its log is server.log; a second start appends.
start_valised() {
	local more=(--set "listen.port=$(free_port)") s
	for s; do
		more+=(--set "$s")
	done
	rm -f "$state/run/port"
	"$bin/valised" run "${server_settings[@]}" "${more[@]}" >>"$TMPDIR/server.log" 2>&1 &
	server_pid=$!
	started+=("$server_pid")
	wait_for 30 "the server's port" port_is_there
	[ -s "$state/run/port" ] || die "the server ended at its start"
	port=$(cat "$state/run/port")
	url=https://127.0.0.1:$port
	case " $* " in *" listen.tls=no "*) url=http://127.0.0.1:$port ;; esac
	wait_for 30 "the server" curl -fsk -o /dev/null "$url/healthz"
}
port_is_there() {
	[ -s "$state/run/port" ] || ! kill -0 "$server_pid"
}

# stop_valised [SIGNAL]: and waits for its end.
stop_valised() {
	kill "-${1:-TERM}" "$server_pid"
	wait_for 60 "the server's end" is_gone "$server_pid"
}

# kill_valised: all of its processes at once, as a power cut does, and waits for their end.
kill_valised() {
	local pids p
	pids="$server_pid $(cat "/proc/$server_pid/task/$server_pid/children")"
	kill -KILL "$server_pid"
	for p in $pids; do wait_for 20 "the end of $p" is_gone "$p"; done
	# One that was being started just then has everything of its parent's for a moment.
	wait_for 20 "the lock" flock -n "$state/run/lock" true
}

# database ARGUMENT...: sqlite3 on $state/valise.db.  To root Linux refuses what another user owns in a sticky
# folder (fs.protected_regular), as $state is; so meanwhile it is none.
database() {
	local rc=0 sticky=
	[ ! -k "$state" ] || sticky=yes
	chmod -t "$state"
	sqlite3 -cmd '.timeout 10000' "$@" || rc=$?
	[ -z "$sticky" ] || chmod +t "$state"
	return $rc
}

# unhex: hexadecimal digits on standard input become bytes.
unhex() {
	tr -d '\n' | sed 's/../\\x&/g' | xargs -0 printf '%b'
}

# Process ids of the server's children by duty (keys, work, web).
children() {
	local p
	for p in $(cat "/proc/$server_pid/task/$server_pid/children"); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" = "valised-$1" ] && echo "$p"
	done
	true
}

# ---- requests -------------------------------------------------------------------------------

# api METHOD PATH [CURL OPTION...]: sets $status, $body (a file) and $headers (a file).  $auth is
# the token; empty: none.
auth=
body=$TMPDIR/body
headers=$TMPDIR/headers
api() {
	local method=$1 path=$2 with=()
	shift 2
	[ -z "$auth" ] || with=(-H "Authorization: Bearer $auth")
	[ "$method" != HEAD ] || with+=(-I)
	: >"$body"
	status=$(curl -sk -X "$method" "${with[@]}" "$@" -D "$headers" -o "$body" -w '%{http_code}' "$url$path") ||
		status=000
}

# wants STATUS METHOD PATH [...]: api, and the status must be this one.
wants() {
	local wanted=$1
	shift
	api "$@"
	[ "$status" = "$wanted" ] || {
		cat "$headers" "$body"
		die "$1 $2: status $status, wanted $wanted"
	}
}

# json FILTER: of the last body, as jq -r; fails the test when it is null or false.
json() {
	jq -er "$1" "$body" || {
		cat "$body"
		die "no $1 in the answer"
	}
}

header() {
	sed -n "s/^$1: *//Ip" "$headers" | tr -d '\r' | tail -n 1
}

metric() {
	curl -sk "$url/metrics" | awk -v m="valise_$1" '$1 == m { print $2 }'
}

# send_raw FILE ANSWER: bytes over TLS as they are, and what comes back until the first answer is there
# or the server has closed.
send_raw() {
	rm -f "$2.ended"
	: >"$2"
	{
		cat "$1"
		for _ in $(seq 1200); do
			[ ! -s "$2" ] && [ ! -e "$2.ended" ] || break
			sleep 0.05
		done
	} | {
		timeout 90 openssl s_client -quiet -no_ign_eof -nocommands -connect "127.0.0.1:$port" >"$2" 2>/dev/null || true
		: >"$2.ended"
	} || true
}

# resumed VERSION: a second connection goes on with the session of the first (tls1_2, tls1_3).
resumed() {
	rm -f session
	{
		# Under TLS 1.3 the ticket comes after the handshake.
		printf 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'
		for _ in $(seq 200); do
			[ ! -s session ] || break
			sleep 0.05
		done
	} | openssl s_client -connect "127.0.0.1:$port" "-$1" -sess_out session >/dev/null 2>&1 || true
	openssl s_client -connect "127.0.0.1:$port" "-$1" -sess_in session </dev/null >session.out 2>&1 || true
	grep -q '^Reused' session.out
}

# ---- an organisation ------------------------------------------------------------------------

# valise init against the running server: keys without passphrase below $HOME/.config/valise.
init_organisation() {
	"$bin/valise" init --server "$url" --pin "$pin" --token-file "$TMPDIR/admin.token" --no-passphrase \
		--product "${1:-acme}" -q >"$TMPDIR/org.out" 2>&1 || {
		cat "$TMPDIR/org.out"
		die "valise init"
	}
	auth=$(cat "$HOME/.config/valise/token")
}

# make_release DIR PRODUCT VERSION [BYTES]: a description and files of pseudo-random text.
make_release() {
	local dir=$1 product=$2 version=$3 bytes=${4:-300000}
	mkdir -p "$dir"
	seq 1 20000 >"$dir/vmlinux"
	# The same version gives the same bytes; half of it compresses.
	{
		openssl enc -aes-128-ctr -pass "pass:$version" -nosalt -pbkdf2 </dev/zero 2>/dev/null |
			head -c $((bytes / 2)) || true
		yes "$version" 2>/dev/null | head -c $((bytes / 2)) || true
	} >"$dir/system.img"
	cat >"$dir/release.in.json" <<-EOT
		{ "product": "$product", "version": "$version", "security_version": 1, "data_schema": 1,
		  "components": { "kernel": {"file": "vmlinux", "kind": "kernel"},
		                  "system": {"file": "system.img", "kind": "disk"} },
		  "models": { "compact": {"arch": "x86_64", "memory_mib": 128, "vcpus": 1, "kernel": "kernel",
		                          "disks": ["system"], "cmdline": "console=ttyS0"} },
		  "health": {"deadline_s": 60} }
	EOT
}

# handset NAME COMMAND...: tests/tools/handset with its own state.
handset() {
	local name=$1
	shift
	"$BUILD/tests/tools/handset" "$TMPDIR/handset-$name" "$url" "$pin" "$@"
}

# enrolled_handset NAME [GROUP]: with a ticket of its own; sets $device.
enrolled_handset() {
	wants 201 POST /v1/tickets -d "{\"groups\": [${2:+\"$2\"}], \"approval\": \"auto\", \"ttl_s\": 600}"
	handset "$1" enrol "$(json .token)" >"$TMPDIR/enrol.$1" || die "enrol $1"
	device=$(jq -r .device "$TMPDIR/enrol.$1")
}
