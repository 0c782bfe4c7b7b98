# tests/support/front.sh - for scenarios behind nginx: `. "$TOP/tests/support/front.sh"` after lib.sh.
#
# valised on a Unix socket alone, and in front of it nginx with deploy/nginx.conf as it stands there but for
# paths and port.
# shellcheck shell=bash disable=SC2034

PATH=$PATH:/usr/sbin:/sbin
command -v nginx >/dev/null || skip "nginx is missing: apt install nginx-light"

# Not below $TMPDIR: nginx's workers are another user, and names of sockets are short.
front=$(mktemp -d /tmp/valise-front.XXXXXX)
chmod 711 "$front"
trap 'end_all; rm -rf "$front"' EXIT
socket=$front/run/front.sock
mkdir -m 755 "$front/run"
if [ "$(id -u)" = 0 ]; then
	front_user="user nobody nogroup;" front_group=nogroup
else
	front_user="" front_group=$(id -gn)
fi

# in_front FROM TO...: replaced in the configuration, where each must stand.
in_front() {
	while [ $# -gt 0 ]; do
		grep -qF -- "$1" "$front/valise.conf" || die "deploy/nginx.conf has no \"$1\""
		awk -v from="$1" -v to="$2" '{
			while ((at = index($0, from)) > 0)
				$0 = substr($0, 1, at - 1) "\001" substr($0, at + length(from))
			gsub("\001", to)
			print
		}' "$front/valise.conf" >"$front/next" && mv "$front/next" "$front/valise.conf"
		shift 2
	done
}

# front_on PORT: nginx cannot be asked to choose one.
front_on() {
	cp "$TOP/deploy/nginx.conf" "$front/valise.conf"
	in_front "listen 443 ssl" "listen 127.0.0.1:$1 ssl" "listen [::]:443 ssl;" "" \
		/run/valised/front.sock "$socket" /var/lib/valised "$state"
	cat >"$front/nginx.conf" <<-EOT
		$front_user
		daemon off;
		worker_processes 1;
		pid $front/pid;
		events { worker_connections 512; }
		http {
			log_format sizes '\$request_method \$uri \$status \$request_length \$bytes_sent';
			access_log $TMPDIR/front-access.txt sizes;
			client_body_temp_path $front/b; proxy_temp_path $front/p;
			fastcgi_temp_path $front/f; uwsgi_temp_path $front/u; scgi_temp_path $front/s;
			include $front/valise.conf;
		}
	EOT
	nginx -p "$front" -c "$front/nginx.conf" -e "$TMPDIR/front-error.log" >"$TMPDIR/front.log" 2>&1 &
	front_pid=$!
	started+=("$front_pid")
	wait_for 30 nginx front_is_up_or_gone "$1"
	! is_gone $front_pid
}
front_is_up_or_gone() {
	is_gone $front_pid || curl -sk -o /dev/null "https://127.0.0.1:$1/healthz"
}

# start_front: sets $front_pid, $port and $url, so that everything of lib.sh goes through it.
start_front() {
	local try
	for try in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 10000))
		front_on $port && break
		[ $try != 5 ] || die "nginx does not start: $(cat "$TMPDIR/front.log")"
	done
	url=https://127.0.0.1:$port
}

# start_behind [SETTING...]: valised on the socket alone; sets $server_pid.
start_behind() {
	local more=() s
	for s in listen.address= "listen.unix=$socket" "listen.unix_group=$front_group" "$@"; do
		more+=(--set "$s")
	done
	"$bin/valised" run "${server_settings[@]}" "${more[@]}" >>"$TMPDIR/server.log" 2>&1 &
	server_pid=$!
	started+=("$server_pid")
	wait_for 30 "the server" curl -fs -o /dev/null --unix-socket "$socket" http://phones.example/healthz
}
