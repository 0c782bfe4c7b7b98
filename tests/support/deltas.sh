# tests/support/deltas.sh - for scenarios of deltas, on top of handset.sh.
# shellcheck shell=bash

# shellcheck source=tests/support/handset.sh
. "$TOP/tests/support/handset.sh"

# similar VERSION OF [NEW_BYTES]: publishes acme/VERSION, whose system is mostly that of acme/OF, in another
# order.  New bytes have to be coded one by one: 1.5 million keep a process busy for a second or two.
similar() {
	local old=$TMPDIR/phone-$2/system.img n
	n=$(stat -c %s "$old")
	make_release "$TMPDIR/phone-$1" acme "$1" 1000
	{ echo good && seq 1 2000; } >"$TMPDIR/phone-$1/vmlinux"
	{
		part "$old" 700000 $((n - 1000000))
		openssl enc -aes-128-ctr -pass "pass:$1" -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c "${3:-20000}" || true
		part "$old" 0 700000
		part "$old" $((n - 299223)) 299223
	} >"$TMPDIR/phone-$1/system.img"
	valise publish "$TMPDIR/phone-$1" >/dev/null || die "publish $1"
}

# delta VERSION FROM FILTER: of the system, as the server shows it.
delta() {
	valise -o json release show "acme/$1" |
		jq -r ".deltas[] | select(.component == \"system\" and .from == \"$2\") | $3"
}
delta_is() {
	[ "$(delta "$1" "$2" .state)" = "$3" ]
}
metric_is() {
	[ "$(metric "$1")" = "$2" ]
}

# Stops the process that will get the next job, so that the job lasts until release_makers.  Nothing
# may be under way, or that would be held instead; one that is just ending would leave its place to
# one that is not held.
hold_makers() {
	wait_for 300 "the end of all jobs" metric_is deltas_making 0
	wait_for 120 "a process to hold" hold_one
}
hold_one() {
	local p
	for p in $(children delta); do
		kill -STOP "$p" && grep -q '^State:.T' "/proc/$p/status" && return 0
	done
	return 1
}
release_makers() {
	local p
	for p in $(children delta); do
		kill -CONT "$p"
	done
}

# What the handset's log says of its last download.
staged() {
	sed -n "s/.* staged .*$1=\([0-9]*\).*/\1/p" agent.log | tail -n 1
}

# damage VERSION FROM: the delta on the server's disk.
damage() {
	local sha object
	sha=$(delta "$1" "$2" .sha256)
	object=$state/objects/${sha:0:2}/${sha:2}
	chmod u+w "$object"
	printf damaged | dd of="$object" bs=1 seek=5000 conv=notrunc status=none
}
