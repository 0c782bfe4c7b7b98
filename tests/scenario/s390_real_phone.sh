#!/bin/bash
# No stand-ins: server, agent, valise-vmm, QEMU, and tiny Debian guests. Installed, updated, rolled back.
. "$TOP/tests/support/handset.sh"
for t in mkfs.erofs:erofs-utils xorriso:xorriso qemu-system-x86_64:qemu-system-x86; do
	PATH=$PATH:/usr/sbin command -v "${t%:*}" >/dev/null || skip "${t%:*} is missing: apt install ${t#*:}"
done
for name in tiny tiny-v2 tiny-broken tiny-panic; do
	"$TOP/deploy/images/build" $name "$TMPDIR/images/$name" >images.log 2>&1 || skip "$name cannot be built here"
done
handset_settings=(--set disk.reserve=16M --set disk.data=64M)
version_of() { jq -r '.product + "/" + .version' "images/$1/release.in.json"; }
product=$(jq -r .product images/tiny/release.in.json)
init_valised
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0
init_organisation "$product"
enrol_handset

install() {
	valise publish "images/$1" >/dev/null || die "publish $1"
	valise -y rollout start "$(version_of "$1")" --all >/dev/null || die "rollout $1"
}

say "first installation"
install tiny
once 0
[ "$(on_server .release.applied)" = "$(version_of tiny)" ] || die "the server shows $(on_server .release.applied)"

say "update by the daemon, with user data that stays"
start_agent
wait_for 240 "a healthy phone" status_is .vm.healthy true
# The file system that the first boot made on the user's disk.
uuid() { dd if=handset/data/1.img bs=1 skip=1128 count=16 status=none | od -An -tx1; }
before=$(uuid)
install tiny-v2
wait_for 240 "the update" status_is .release "$(version_of tiny-v2)"
wait_for 240 "a healthy phone" status_is .vm.healthy true
[ "$before" = "$(uuid)" ] || die "the user's disk was made anew"
stop_agent

rolled_back() { on_server ".events[] | select(.state == \"rolled_back\" and .release == \"$(version_of "$1")\")"; }

say "a guest that never reports is rolled back in time"
install tiny-broken
once 10 --set test.health_deadline=30s
rolled_back tiny-broken | has 'health: not healthy within 30 s' || die "no reason: $(rolled_back tiny-broken)"
[ "$(on_server .release.applied)" = "$(version_of tiny-v2)" ] || die "the server shows $(on_server .release.applied)"

say "one that panics is rolled back at once, and its last words are on the server"
install tiny-panic
once 10
rolled_back tiny-panic | jq -r .reason | has 'restarted 3 times' || die "no reason: $(rolled_back tiny-panic)"
rolled_back tiny-panic | jq -r .log | has 'Kernel panic' || die "no log: $(rolled_back tiny-panic)"
