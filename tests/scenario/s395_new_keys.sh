#!/bin/bash
# The handset changes its own keys, by hand and by their age: what it runs and what names it stay; killed at any step, agent
# or server, it ends with one pair that the server knows; a server that was put back to before the change is told again.
. "$TOP/tests/support/handset.sh"
start_organisation
phone 1.0 good
valise -y rollout start acme/1.0 --all >/dev/null
enrol_handset
once 0

key_files() { find "$handset/identity" -type f -name '*.key' -printf '%f\n' | sort | tr '\n' ' '; }
changes() { on_server .key_changes; }
# Both sides have the same keys, the name is the first one, and nothing is left half done.
assert_one_pair() {
	[ "$(on_server .id)" = "$device" ] || die "$1: another name"
	[ "$(on_server .fingerprint)" = "$(fingerprint)" ] || die "$1: $(on_server .fingerprint) on the server, $(fingerprint) here"
	[ "$(key_files)" = "sealing.key signing.key " ] || die "$1: $(key_files)"
}
# As the agent itself says it, without a server.
fingerprint() {
	start_agent --set proxy=http://127.0.0.1:9 --set vm.autostart=no
	status .fingerprint
	stop_agent
}
# As if they were made long ago.
age_keys() {
	sed -i 's/"since":"[^"]*"/"since":"2020-01-01T00:00:00Z"/' "$handset/identity/change.json"
}
connected() { grep -q "$(printf ':%04X .* 01 ' "$port")" /proc/net/tcp; }
first=$(on_server .fingerprint)
[ "$(changes)" = 0 ] || die "$(changes) changes before the first"
seed=$(jq -r .sealed "$handset/identity/signing.key")

say "by hand, while the phone runs"
start_agent
wait_for 30 "the phone" status_is .vm.state running
agent rotate-key >rotated.out || die "rotate-key: $(cat rotated.out)"
second=$(sed -n 's/^fingerprint //p' rotated.out)
[ "$second" != "$first" ] || die "the same keys"
[ "$(on_server .fingerprint)" = "$second" ] || die "the server shows $(on_server .fingerprint), not $second"
[ "$(changes)" = 1 ] || die "$(changes) changes"
[ "$(status .vm.state)" = running ] || die "the phone was disturbed"
grep -rqF "$seed" "$handset" && die "the old secret is still there"
grep -q '"device.rotate_key"' <<<"$(valise -o json audit list)" || die "not in the audit log"
valise device show "$device" >show.out
grep -q "^keys changed: *1$" show.out || die "$(cat show.out)"

say "an update by the name that stayed"
phone 1.1 good
valise -y rollout start acme/1.1 --device "$device" >/dev/null
agent check-in
wait_for 60 "the update" status_is .release acme/1.1
stop_agent
once 0
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the server shows $(on_server .release.applied)"
assert_one_pair "by hand"

say "by their age, at a check-in, once"
n=$(changes)
once 0
[ "$(changes)" = "$n" ] || die "young keys were changed"
age_keys
once 0 --set keys.max_age=0
[ "$(changes)" = "$n" ] || die "changed though that is off"
once 0
once 0
n=$((n + 1))
[ "$(changes)" = $n ] || die "$(changes) changes, wanted $n"
assert_one_pair "by age"

for point in keys-made keys-asked keys-answered keys-recorded keys-half-moved; do
	say "killed at $point"
	age_keys
	once 137 --set "test.crash=$point"
	once 0
	n=$((n + 1))
	[ "$(changes)" = $n ] || die "$point: $(changes) changes, wanted $n"
	assert_one_pair "$point"
done

say "the server is killed while it is asked, and the network is away"
age_keys
once 137 --set test.crash=keys-asked
stop_valised KILL
once 69
[ "$(jq -r .state "$handset/identity/change.json")" = asked ] || die "$(cat "$handset/identity/change.json")"
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
once 0
n=$((n + 1))
assert_one_pair "without a server"
age_keys
once 137 --set test.crash=keys-asked
web=$(children web)
kill -STOP "$web" # the question gets to the server and no further
agent once >>"$TMPDIR/agent.log" 2>&1 &
cycle=$!
started+=("$cycle")
wait_for 30 "the connection" connected
kill -KILL "$web"
stop_valised KILL
wait $cycle && die "a cycle without a server"
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
once 0
n=$((n + 1))
[ "$(changes)" = $n ] || die "$(changes) changes, wanted $n"
assert_one_pair "killed while it was asked"

say "a server that was put back to before the change is told again"
"$bin/valised" backup "$TMPDIR/backup" --keys "${server_settings[@]}" >/dev/null
age_keys
once 0
print=$(on_server .fingerprint)
stop_valised
mv "$state" "$state.lost"
"$bin/valised" restore "$TMPDIR/backup" "${server_settings[@]}" >/dev/null
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
[ "$(on_server .fingerprint)" != "$print" ] || die "the backup has the new keys"
once 0
[ "$(on_server .fingerprint)" = "$print" ] || die "the server was not told"
assert_one_pair "restored"

say "one that was put back to before the last three is told of each"
stop_valised
cp -a "$state" "$TMPDIR/state.old"
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
n=$(changes)
for _ in 1 2; do
	age_keys
	once 0
done
age_keys
once 137 --set test.crash=keys-asked # and is asked for a fourth
put_back() {
	stop_valised
	rm -r "$state"
	cp -a "$TMPDIR/state.old" "$state"
	start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
}
put_back
once 0
[ "$(changes)" = $((n + 3)) ] || die "$(changes) changes, wanted $((n + 3))"
assert_one_pair "put back to before three"
age_keys
once 0
[ "$(changes)" = $((n + 4)) ] || die "$(changes) changes, wanted $((n + 4))"

say "to one that is older than what the handset keeps it is a stranger: it is said what to do"
jq -c 'del(.before)' "$handset/identity/change.json" >change.json
cat change.json >"$handset/identity/change.json"
put_back
if agent once >out 2>err; then die "a stranger was served"; fi
grep -q -- "--again --new-keys" err || die "no word of what to do: $(cat err)"
ticket=$(valise -o json enrol new --no-qr | jq -r .ticket)
if agent enrol --new-keys "$ticket" >out 2>err; then die "without --again"; fi
agent enrol --again --new-keys --model compact "$ticket" >out || die "$(cat out)"
was=$device
device=$(sed -n 's/^device \([0-9a-f]*\) .*/\1/p' out)
[ "$device" != "$was" ] || die "the same device"
once 0
[ "$(on_server .release.applied)" = acme/1.0 ] || die "the server shows $(on_server .release.applied)"
assert_one_pair "another device"

say "enrolled again with changed keys: the name stays the first one"
touch -d 2020-01-01 "$handset/identity/signing.key" # the first pair is as old as its file
once 0
[ "$(changes)" = 1 ] || die "$(changes) changes of the new device"
ticket=$(valise -o json enrol new --no-qr | jq -r .ticket)
agent enrol --again --model compact "$ticket" >out || die "the same server again: $(cat out)"
grep -q "^device $device " out || die "another name: $(cat out)"
once 0
assert_one_pair "enrolled again"
