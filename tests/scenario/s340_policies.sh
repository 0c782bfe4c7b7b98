#!/bin/bash
# Policy bundles on the handset: applied and shown, never loosened by an old or unsigned one, and they decide
# when an update may be fetched and installed.
. "$TOP/tests/support/handset.sh"
start_organisation

# bundle SETTINGS: publishes the next version of `base`.
bundle() {
	echo "{\"name\": \"base\", \"settings\": {$1}}" >bundle.json
	valise policy publish bundle.json >/dev/null || die "policy publish"
}
applied() {
	[ "$(on_server '.policies[] | select(.name == "base") | .applied')" = "$1" ]
}

phone 1.0 good
roll_out 1.0
enrol_handset
bundle '"vm.memory_max_mib": 100, "apps.config": {"mail.server": "imap.acme.example"}'
valise -y policy assign base --all >/dev/null

say "a bundle narrows what the manifest allows, reaches the guest, and is shown as applied"
start_agent
wait_for 30 "a healthy phone" status_is .vm.healthy true
grep -q 'this guest is good, on 100 MiB' handset/serial.log || die "memory was not narrowed"
[ "$(status .policies.base)" = 1 ] || die "not applied"
wait_for 30 "the server's word" applied 1
grep -q 'device.event .*kind=policy state=applied release=- ' server.log || die "$(grep kind=policy server.log)"
[ "$(on_server '[.events[] | (.received_at | fromdate) - (.at | fromdate) | . > -600 and . < 600] | all')" = true ] ||
	die "a new handset dates its events by the day of its build: $(on_server .events)"

say "an edit reaches a phone that runs: it starts again with the new limits"
bundle '"vm.memory_max_mib": 64'
valise -y policy assign base --all >/dev/null
wait_for 30 "the restart" grep -q 'on 64 MiB' handset/serial.log
wait_for 30 "a healthy phone" status_is .vm.healthy true
wait_for 30 "the server's word" applied 2

say "one that asks for more than the manifest gives gets no more"
bundle '"vm.memory_max_mib": 4096'
wait_for 30 "the server's word" applied 3
wait_for 30 "the restart" grep -q 'on 128 MiB' handset/serial.log

say "settings for programs: what is closest to the device wins"
echo '{"name": "zz", "settings": {"apps.config": {"mail.server": "near.acme.example", "x": "1"}}}' >near.json
valise policy publish near.json >/dev/null
valise -y policy assign zz --device "$device" >/dev/null
echo '{"name": "base", "settings": {"apps.config": {"mail.server": "far.acme.example", "y": "2"}}}' >far.json
valise policy publish far.json >/dev/null
valise -y policy assign base --all >/dev/null
settings() { sed -n 's/^settings: //p' handset/serial.log | jq -c .valise.apps.config; }
settings_are() { [ "$(settings)" = "$1" ]; }
wait_for 30 "the settings" settings_are '{"mail.server":"near.acme.example","x":"1","y":"2"}'
echo '{"name": "zz", "settings": {}}' >near.json
valise policy publish near.json >/dev/null
wait_for 30 "the settings" settings_are '{"mail.server":"far.acme.example","y":"2"}'
bundle '"vm.memory_max_mib": 4096'
wait_for 30 "the server's word" applied 5
stop_agent

say "a bundle that was changed on the handset stops the phone until it was fetched again"
cp -r handset handset.good
sed -i 's/4096/9096/' handset/policies/=base@5.json
start_agent --set "proxy=http://127.0.0.1:9"
wait_for 30 "the refusal" grep -q 'error valise-agent policy error=corrupt' agent.log
[ "$(status .vm.state)" = stopped ] || die "the phone runs without knowing its policy"
stop_agent
start_agent
wait_for 30 "a healthy phone" status_is .vm.healthy true
stop_agent

say "an older bundle is refused"
rm -rf handset && cp -r handset.good handset
sed -i 's/"version":5/"version":7/' handset/policies/index.json
got=0
agent once >>agent.log 2>&1 || got=$?
grep -q 'policy base: version 7 was applied, 5 came' agent.log || [ $got = 76 ] || die "not refused: $got"
rm -rf handset && cp -r handset.good handset

say "a metered network: nothing is fetched until it is not, or the policy allows it"
phone 1.1 good
roll_out 1.1
once 78 --set network=metered
grep -q 'acme/1.1 waits: the network costs money' agent.log || die "no reason: $(tail -n 3 agent.log)"
[ ! -e handset/slots/b/system ] || die "it was fetched"
echo metered >net
once 78 --set network=file --set "network.file=$TMPDIR/net"
once 78 --set network=file --set "network.file=$TMPDIR/missing"
[ ! -e handset/slots/b/system ] || die "it was fetched"
echo unmetered >net
once 0 --set network=file --set "network.file=$TMPDIR/net"
[ "$(on_server .release.applied)" = acme/1.1 ] || die "not installed"

say "an install window: fetched at once, installed when it opens"
minute=$((10#$(date +%H) * 60 + 10#$(date +%M)))
hhmm() { printf '%02d:%02d' $(($1 / 60 % 24)) $(($1 % 60)); }
bundle "\"image.install_window\": [\"$(hhmm $((minute + 300)))-$(hhmm $((minute + 600)))\"]"
once 0
phone 1.2 good
roll_out 1.2
once 78
[ -s handset/slots/a/release.json ] || die "not fetched"
start_agent
wait_for 30 "the staged update" status_is .update.state staged
agent status | has -E '^ *waits: outside of the policy.s install window, which opens in (4 h [0-9]+|5 h 0) min$' || die "$(agent status)"
stop_agent
[ "$(on_server .release.applied)" = acme/1.1 ] || die "installed outside of the window"
once 0 --set test.window_shift=7h
[ "$(on_server .release.applied)" = acme/1.2 ] || die "not installed inside the window"

say "forced does not wait for the window; suggest waits for the user"
bundle "\"image.update_mode\": \"forced\", \"image.install_window\": [\"$(hhmm $((minute + 300)))-$(hhmm $((minute + 600)))\"]"
phone 1.3 good
roll_out 1.3
once 0
[ "$(on_server .release.applied)" = acme/1.3 ] || die "not installed"
bundle '"image.update_mode": "suggest"'
phone 1.4 good
roll_out 1.4
start_agent
wait_for 30 "the staged update" status_is .update.state staged
[ "$(status .release)" = acme/1.3 ] || die "installed without asking"
[ "$(status .update.waits_for)" = "the policy leaves it to the user: valise-agent install" ] || die "$(agent status)"
agent install
wait_for 30 "the update" status_is .release acme/1.4
stop_agent
