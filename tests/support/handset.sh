# tests/support/handset.sh - for scenarios of the agent: `. "$TOP/tests/support/handset.sh"`.
#
# On top of lib.sh: an organisation with a server, a handset, and phones that do as they are told
# (tests/tools/fake_monitor.c).
# shellcheck shell=bash disable=SC2034

# shellcheck source=tests/support/lib.sh
. "$TOP/tests/support/lib.sh"
for t in jq curl; do
	command -v $t >/dev/null || skip "$t is missing: apt install $t"
done

handset=$TMPDIR/handset
handset_settings=(--set "vm.monitor=$BUILD/tests/tools/fake_monitor" --set disk.reserve=16M
	--set disk.data=1M --set vm.stop_grace=5s --set log.level=debug)

valise() {
	"$bin/valise" -q "$@"
}

# agent COMMAND...: on the handset; `on DIR agent ...` is another one's.
agent() {
	local command=$1
	shift
	"$bin/valise-agent" "$command" --set "state_dir=$handset" "${handset_settings[@]}" "$@"
}

# A server and an organisation with the product acme.
start_organisation() {
	init_valised
	start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "$@"
	init_organisation acme
}

# phone VERSION HOW [BYTES]: publishes acme/VERSION, whose guest does HOW.
phone() {
	make_release "$TMPDIR/phone-$1" acme "$1" "${3:-300000}"
	{ echo "$2" && seq 1 2000; } >"$TMPDIR/phone-$1/vmlinux"
	valise publish "$TMPDIR/phone-$1" >/dev/null || die "publish $1"
}

# roll_out VERSION: to everyone.
roll_out() {
	valise -y rollout start "acme/$1" --all >/dev/null || die "rollout $1"
}

# Enrols the handset; sets $device.
enrol_handset() {
	local ticket
	ticket=$(valise -o json enrol new --no-qr | jq -r .ticket)
	agent enrol --model compact --name "${1:-test}" "$ticket" >"$TMPDIR/enrol.out" || die "enrol"
	device=$(sed -n 's/^device \([0-9a-f]*\) .*/\1/p' "$TMPDIR/enrol.out")
}

# once WANTED [OPTION...]: one cycle, which must end with this status.
once() {
	local wanted=$1 got=0
	shift
	agent once "$@" >>"$TMPDIR/agent.log" 2>&1 || got=$?
	[ $got = "$wanted" ] || die "once: status $got, wanted $wanted"
}

# start_agent [OPTION...]: the daemon; sets $agent_pid.
start_agent() {
	"$bin/valise-agent" run --set "state_dir=$handset" "${handset_settings[@]}" --set test.poll=1s "$@" \
		>>"$TMPDIR/agent.log" 2>&1 &
	agent_pid=$!
	started+=("$agent_pid")
	wait_for 30 "the agent" agent status
}

stop_agent() {
	kill "-${1:-TERM}" "$agent_pid"
	wait_for 60 "the agent's end" is_gone "$agent_pid"
}

# status FILTER: of the running agent, as jq -r.
status() {
	agent status -o json | jq -r "$1"
}

# status_is FILTER VALUE; for wait_for.
status_is() {
	[ "$(status "$1")" = "$2" ]
}

# on_server FILTER: what the server shows of the device.
on_server() {
	valise -o json device show "$device" | jq -r "$1"
}
