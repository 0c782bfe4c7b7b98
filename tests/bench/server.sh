#!/bin/bash
# valised against nginx serving static files over TLS, on this machine, in the same minutes: idle signed
# check-ins against a file as long as the answer that they get with a body, and against answers of nginx without
# one (`return 204`); objects against the same file.  Runs are interleaved,
# medians compared: requests a second, which the load generator's own work and other jobs of the machine weigh on
# too, and processor time that the server took for one, which they do not.  SECONDS_EACH (4), ROUNDS (3), CONNECTIONS (32), OBJECT_MIB (256).
set -eu
PATH=$PATH:/usr/sbin:/sbin
each=${SECONDS_EACH:-4} rounds=${ROUNDS:-3} connections=${CONNECTIONS:-32} object_mib=${OBJECT_MIB:-256}
for t in nginx:nginx-light curl:curl jq:jq; do
	command -v "${t%:*}" >/dev/null || { echo "bench server: skipped, ${t%:*} is missing: apt install ${t#*:}"; exit 0; }
done
TMPDIR=$(mktemp -d)
chmod 755 "$TMPDIR"
export TMPDIR
. "$TOP/tests/support/lib.sh"
trap 'end_all; rm -rf "$TMPDIR"' EXIT
load=$(cut -d' ' -f1 /proc/loadavg)
awk -v l="$load" -v n="$(nproc)" 'BEGIN { if (l > n / 2) print "bench server: the machine is busy (load " l "): trust ratios, not rates" }'

init_valised
start_valised limit.client_rate=0 limit.device_rate=0 log.level=info web.connections_per_ip=0 disk.reserve=0
init_organisation acme
enrolled_handset a bench

# An object that does not compress, put beside the API (serving does not hash).
sha=$(printf 'b%.0s' {1..64})
mkdir -p "$state/objects/bb"
head -c $((object_mib * 1048576)) /dev/urandom >"$TMPDIR/object"
cp "$TMPDIR/object" "$state/objects/bb/${sha:2}"
chmod -R a+rX "$state/objects/bb"
chown -R --reference="$state/objects" "$state/objects/bb" 2>/dev/null || true

# nginx as it comes, with the same key, one worker a processor, connections kept.
www=$TMPDIR/www
mkdir -p "$www/objects" "$TMPDIR/nginx"
handset a checkin >/dev/null
handset a checkin >/dev/null
handset a checkin body=always | tr -d '\n' >"$www/answer.json"
mv "$TMPDIR/object" "$www/objects/$sha"
cp "$state/tls/cert.pem" "$state/tls/key.pem" "$TMPDIR/nginx/"
nginx_port=$((20000 + $$ % 20000))
cat >"$TMPDIR/nginx/nginx.conf" <<EOT
worker_processes auto;
pid $TMPDIR/nginx/pid;
error_log $TMPDIR/nginx/error.log;
daemon off;
user $(id -un);
events { worker_connections 4096; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 100000000;
	types { application/json json; }
	client_body_temp_path $TMPDIR/nginx/b; proxy_temp_path $TMPDIR/nginx/p; fastcgi_temp_path $TMPDIR/nginx/f;
	uwsgi_temp_path $TMPDIR/nginx/u; scgi_temp_path $TMPDIR/nginx/s;
	server {
		listen 127.0.0.1:$nginx_port ssl;
		ssl_certificate $TMPDIR/nginx/cert.pem;
		ssl_certificate_key $TMPDIR/nginx/key.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		root $www;
		location = /none { return 204; }
	}
}
EOT
nginx -c "$TMPDIR/nginx/nginx.conf" -e "$TMPDIR/nginx/error.log" >"$TMPDIR/nginx/out" 2>&1 &
nginx_pid=$!
started+=("$nginx_pid")
wait_for 10 nginx curl -fsk -o /dev/null "https://127.0.0.1:$nginx_port/answer.json"
nginx_url=https://127.0.0.1:$nginx_port
# Both with the same version and cipher, or it is no comparison.
tls_of() { openssl s_client -connect "127.0.0.1:$1" </dev/null 2>/dev/null | sed -n 's/^New, \(TLSv[0-9.]*\), Cipher is /\1 /p'; }
tls=$(tls_of "$port")
[ "$tls" = "$(tls_of $nginx_port)" ] || die "other ciphers: $tls, nginx $(tls_of $nginx_port)"

median() { sort -n | sed -n $(((rounds + 1) / 2))p; }
# ticks PID...: hundredths of a second of processor time so far
ticks() {
	local p
	for p; do awk '{ print $14 + $15 }' "/proc/$p/stat"; done | awk '{ n += $1 } END { print n }'
}
ours_pids() { children web; }
theirs_pids() { cat "/proc/$nginx_pid/task/$nginx_pid/children"; }
# ask WHOSE NAME FILE LENGTH: requests a second, to WHOSE.NAME, and microseconds of the server for one, to WHOSE.NAME.cpu.
ask() {
	local whose=$1 name=$2 to=$port before
	[ "$whose" = ours ] || to=$nginx_port
	before=$(ticks $(${whose}_pids))
	"$BUILD/tests/bench/load" "$to" 2 "$connections" "$each" "$3" "$4" >"$TMPDIR/load.out" || exit 1
	awk -v ticks=$(($(ticks $(${whose}_pids)) - before)) -v hz="$(getconf CLK_TCK)" -v cpu="$whose.$name.cpu" \
		'{ print $1 / $4; printf "%.2f\n", ticks * 1e6 / hz / $1 >>cpu }' "$TMPDIR/load.out" >>"$whose.$name"
}
get() { # WHOSE NAME PATH [FIELD]
	printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n' "$3" "${4:+$4\r\n}" >"$TMPDIR/request"
	ask "$1" "$2" "$TMPDIR/request" "$(stat -c %s "$TMPDIR/request")"
}
# checkins NAME [FIELD...]: requests are signed in advance, enough for the run; each is good once.
checkins() {
	length=$(handset a sign $((each * ${EXPECT_RATE:-200000})) "$TMPDIR/requests" "${@:2}")
	ask ours "$1" "$TMPDIR/requests" "$length"
	rm "$TMPDIR/requests"
}
mbs() { # URL: one connection, whole object, MB/s
	curl -sk -o /dev/null -w '%{speed_download}\n' "$1" | awk '{ printf "%.1f\n", $1 / 1e6 }'
}
report() { # NAME UNIT OURS THEIRS
	awk -v name="$1" -v unit="$2" -v a="$(median <"$3")" -v b="$(median <"$4")" 'BEGIN {
		printf "%-34s %8.0f %-5s nginx %8.0f %-5s ratio %.2f\n", name, a, unit, b, unit, a / b }'
}
report_cpu() { # NAME OURS THEIRS: less is better, so the ratio is theirs to ours
	awk -v name="$1" -v a="$(median <"$2.cpu")" -v b="$(median <"$3.cpu")" 'BEGIN {
		printf "%-34s %8.1f us    nginx %8.1f us    ratio %.2f\n", name, a, b, b / a }'
}
range="Range: bytes=1048576-2097151"
for _ in $(seq "$rounds"); do
	checkins body body=always
	checkins checkin
	get theirs checkin /answer.json
	get theirs none /none
	get ours health /healthz
	mbs "$url/objects/$sha" >>ours.object
	mbs "$nginx_url/objects/$sha" >>theirs.object
	get ours ranges "/objects/$sha" "$range"
	get theirs ranges "/objects/$sha" "$range"
done
echo "against nginx with static files over $tls, $connections kept connections; ratio above 1: we are better"
report "idle signed check-ins" "/s" ours.checkin theirs.checkin
report_cpu "   processor time for one" ours.checkin theirs.checkin
report "   to \`return 204\`" "/s" ours.checkin theirs.none
report_cpu "   processor time for one" ours.checkin theirs.none
report "   with a body, as older agents" "/s" ours.body theirs.checkin
report_cpu "   processor time for one" ours.body theirs.checkin
report "healthz (the HTTP part alone)" "/s" ours.health theirs.checkin
report_cpu "   processor time for one" ours.health theirs.checkin
report "one object, one connection" "MB/s" ours.object theirs.object
report "ranges of 1 MiB" "/s" ours.ranges theirs.ranges
report_cpu "   processor time for one" ours.ranges theirs.ranges
echo "idle check-in: $length bytes up; the file of nginx has $(stat -c %s "$www/answer.json") bytes"
