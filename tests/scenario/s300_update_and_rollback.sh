#!/bin/bash
# The handset's main job: first installation, update, and three ways to be a bad release.
. "$TOP/tests/support/handset.sh"
start_organisation

say "before enrolment there is nothing to do"
once 66
phone 1.0 good
roll_out 1.0
enrol_handset

say "the first release is fetched, verified, booted, and confirmed when it is healthy"
once 0
grep -q 'update from=trial to=confirmed release="acme/1.0" active=a' agent.log || die "not confirmed in slot a"
[ "$(on_server .release.applied)" = acme/1.0 ] || die "the server shows $(on_server .release.applied)"

say "a second cycle has nothing to do and boots nothing"
before=$(grep -c vm.start agent.log)
once 0
[ "$(grep -c vm.start agent.log)" = "$before" ] || die "booted without need"

say "an update goes to the other slot; the old one stays whole"
phone 1.1 good
roll_out 1.1
once 0
grep -q 'to=confirmed release="acme/1.1" active=b' agent.log || die "not confirmed in slot b"
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the server shows $(on_server .release.applied)"
[ -s handset/slots/a/release.json ] && [ -s handset/slots/b/release.json ] || die "a slot is not whole"

say "a release that never gets healthy is rolled back, and the server is told why, with the log"
phone 1.2 broken
roll_out 1.2
once 10 --set test.health_deadline=2s
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the server shows $(on_server .release.applied)"
[ "$(on_server .update)" = rolled_back ] || die "the server shows $(on_server .update)"
on_server '.events[] | select(.state == "rolled_back")' >event
grep -q 'health: not healthy within 2 s' event || die "no reason: $(cat event)"
grep -q 'this guest is broken' event || die "no log: $(cat event)"

say "it is not tried again by itself, but when an administrator wants it again"
once 10
grep -c 'to=trial release="acme/1.2"' agent.log | has -x 1 || die "tried again"
roll_out 1.2
once 10 --set test.health_deadline=1s
grep -c 'to=trial release="acme/1.2"' agent.log | has -x 2 || die "not tried again"

say "a guest that says that it fails, one that panics, one that reports another boot, a monitor that dies"
phone 1.3 "failing mail: the store is newer"
roll_out 1.3
once 10 --set test.health_deadline=10s # time enough for a loaded machine to get its report
grep -q 'reason="health: not healthy within 10 s: mail: the store is newer"' agent.log || die "no reason"
phone 1.4 panic
roll_out 1.4
once 10
grep -q 'reason="the guest restarted 3 times before it was healthy"' agent.log || die "no reason"
phone 1.4.1 binary
roll_out 1.4.1
once 10
[ "$(on_server .update)" = rolled_back ] || die "no report with a log that is no text: $(on_server .update)"
[ "$(on_server '.events[0].log' | wc -c)" -gt 16000 ] || die "its log is not there"
phone 1.4.2 "failing x$(printf 'é%.0s' $(seq 200))"
roll_out 1.4.2
once 10 --set test.health_deadline=2s
grep -q 'to=rolled_back release="acme/1.4.2"' agent.log || die "no rollback"
on_server '.events[0].reason' | iconv -f utf-8 -t utf-8 | has 'health: .*é' || die "no reason: $(on_server '.events[0]')"
phone 1.5 stale
roll_out 1.5
once 10 --set test.health_deadline=5s
grep -q 'to=rolled_back release="acme/1.5"' agent.log || die "a report of another boot counted"
phone 1.6 die
roll_out 1.6
once 10
grep -q 'to=rolled_back release="acme/1.6".*crashed' agent.log || die "no reason"

say "a guest that restarts itself once is not a bad one"
phone 1.7 reboot-once
roll_out 1.7
once 0
grep -q 'to=confirmed release="acme/1.7"' agent.log || die "not confirmed"
