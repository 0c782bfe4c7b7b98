#!/bin/bash
# A TLS-terminating proxy in front of the server: signatures survive it, downloads go by range through it, and
# its log tells what an idle check-in costs above TLS: at most 1 KiB each way.
. "$TOP/tests/support/handset.sh"
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || skip "nginx is missing: apt install nginx-light"
init_valised
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0
init_organisation acme
stop_valised
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 listen.tls=no

cert=$(find "$state/tls" -name '*cert*' | head -n 1) key=$(find "$state/tls" -name '*key*' | head -n 1)
mkdir -p ngx
# front_on PORT: nginx cannot be asked to choose one.
front_on() {
	cat >ngx/nginx.conf <<-EOT
		$([ "$(id -u)" != 0 ] || echo 'user root;')
		daemon off;
		pid $TMPDIR/ngx/pid;
		error_log $TMPDIR/nginx-error.log;
		worker_processes 1;
		events { worker_connections 64; }
		http {
			log_format sizes '\$request_method \$uri \$status \$request_length \$bytes_sent';
			access_log $TMPDIR/ngx/access.log sizes;
			client_max_body_size 0;
			client_body_temp_path $TMPDIR/ngx/b; proxy_temp_path $TMPDIR/ngx/p;
			fastcgi_temp_path $TMPDIR/ngx/f; uwsgi_temp_path $TMPDIR/ngx/u; scgi_temp_path $TMPDIR/ngx/s;
			server_tokens off;
			server {
				listen 127.0.0.1:$1 ssl;
				ssl_certificate $cert; ssl_certificate_key $key;
				location / {
					proxy_pass http://127.0.0.1:$port;
					proxy_set_header Host \$http_host;
					proxy_http_version 1.1;
				}
			}
		}
	EOT
	nginx -p "$TMPDIR/ngx" -c "$TMPDIR/ngx/nginx.conf" >nginx.log 2>&1 &
	front_pid=$!
	started+=("$front_pid")
	wait_for 30 "nginx" front_is_up_or_gone "$1"
	! is_gone $front_pid
}
front_is_up_or_gone() {
	is_gone $front_pid || curl -fsk -o /dev/null "https://127.0.0.1:$1/healthz"
}
for try in 1 2 3 4 5; do
	front=$((20000 + RANDOM % 10000))
	front_on $front && break
	[ $try != 5 ] || die "nginx does not start"
done
export VALISE_SERVER=https://127.0.0.1:$front VALISE_PIN=$pin

phone 1.0 good 3000000
roll_out 1.0
enrol_handset
once 0
grep -q 'to=confirmed release="acme/1.0"' agent.log || die "not installed through the proxy"

say "an idle check-in"
start_agent
idle() { awk '$2 == "/v1/checkin" && $3 == 200 { n++ } END { exit n < 6 }' ngx/access.log; }
wait_for 30 "polls" idle
stop_agent
tail -n 1 ngx/access.log
awk '$2 == "/v1/checkin" && $3 == 200 { up = $4; down = $5 }
	END { print "up " up " bytes, down " down " bytes"; exit up > 1024 || down > 1024 }' ngx/access.log ||
	die "more than 1 KiB"
