#!/bin/bash
# The two-person rule: a rollout to everyone and the approval of a handset want two people's tokens.
. "$TOP/tests/support/handset.sh"
start_organisation two_person.rollout=yes two_person.enrolment=yes
v=$bin/valise

# fails STATUS TEXT COMMAND...: wants this exit status and text on standard error.
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
bob() {
	env VALISE_TOKEN="$bob" "$v" -q -y "$@"
}
bob=$("$v" -q -o json token new bob --scope admin | jq -r .token)
made=$(date +%s)
later() { [ "$(date +%s)" -gt "$made" ]; }
wait_for 10 "the next second" later
phone 1.0 good

say "a rollout to everyone waits for somebody else; asking twice is still one person"
fails 75 "wants a second person" "$v" -q -y rollout start acme/1.0 --all
grep -q "somebody else does the same" err || die "no hint: $(cat err)"
fails 75 "wants a second person" "$v" -q -y rollout start acme/1.0 --all
[ "$("$v" -o json rollout status | jq '.items | length')" = 0 ] || die "rolled out by one"

say "a token that is made now is no second person"
new=$("$v" -q -o json token new puppet --scope rollout | jq -r .token)
fails 77 "made after" env VALISE_TOKEN="$new" "$v" -q -y rollout start acme/1.0 --all

say "another release is another request; the second person's word counts for what it says"
phone 1.1 good
fails 75 "acme/1.1" bob rollout start acme/1.1 --all
bob rollout start acme/1.0 --all >/dev/null || die "two people are not enough"
"$v" -o json rollout status | jq -e '.items | length == 1 and .[0].version == "1.0"' >/dev/null || die "$("$v" rollout status)"
fails 75 "wants a second person" bob rollout start acme/1.0 --all # it is used up

say "some handsets need no second person"
"$v" -q -y rollout start acme/1.0 --group pilot >/dev/null || die "a group"

say "no ticket lets a handset in without approval, and the approval is two people's"
fails 78 "two people" "$v" -q enrol new
ticket=$("$v" -q -o json enrol new --no-qr --approve | jq -r .ticket)
agent enrol --model compact --name test "$ticket" >enrol.out 2>&1 || true
device=$("$v" -o json device list | jq -r '.items[0].id')
fails 75 "wants a second person" "$v" -q -y device approve "$device"
[ "$(on_server .state)" = pending ] || die "approved by one"
bob device approve "$device" >/dev/null
[ "$(on_server .state)" = active ] || die "two people are not enough"

say "the audit log has both of them"
"$v" -o json audit list --subject acme/1.0 >audit.json
jq -e '[.items[] | select(.verb == "second.ask")][0].actor != [.items[] | select(.verb == "second.confirm")][0].actor' audit.json >/dev/null ||
	die "$(cat audit.json)"
jq -e '[.items[] | select(.verb == "second.confirm" and (.detail | startswith("asked by token:k")))] | length == 1' audit.json >/dev/null ||
	die "$(cat audit.json)"

say "without the rule one person is enough"
stop_valised
start_valised limit.device_rate=0 limit.client_rate=0
"$v" --server "$url" --pin "$pin" -q -y rollout start acme/1.1 --all >/dev/null || die "one person"
