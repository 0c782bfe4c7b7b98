#!/bin/bash
# Somebody puts an older copy of the handset's record back: what it does before its first check-in has numbers that the server
# holds already, and is reported all the same.
. "$TOP/tests/support/handset.sh"
start_organisation
phone 1.0 good
roll_out 1.0
enrol_handset
once 0
mkdir old
cp "$handset"/commit.? old/
phone 1.1 good
roll_out 1.1
once 0
echo '{"name": "base", "settings": {"vm.vcpus_max": 2}}' >base.json
valise policy publish base.json >/dev/null
valise policy assign base --all >/dev/null
once 0 # one report more than the handset will make by itself
confirmed() { on_server '[.events[] | select(.state == "confirmed" and .release == "acme/1.1")] | length'; }
[ "$(confirmed)" = 1 ] || die "$(on_server .events)"

say "the older record, and no server: what is wanted is known, and installed once more"
cp old/commit.? "$handset/"
stop_valised
got=0
agent once >>"$TMPDIR/agent.log" 2>&1 || got=$?
[ $got = 69 ] || die "status $got without a server"
waiting=$(find "$handset/events" -name '*.json' | wc -l)
[ "$waiting" -gt 0 ] || die "nothing happened before the check-in"

say "the server holds higher numbers; nothing is lost"
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
once 0
grep -q 'events.behind' "$TMPDIR/agent.log" || die "the numbers were not behind"
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the server shows $(on_server .release.applied)"
[ "$(confirmed)" = 2 ] || die "$(confirmed) confirmations: $(on_server .events)"
[ -z "$(ls "$handset/events")" ] || die "not acknowledged: $(ls "$handset/events")"
