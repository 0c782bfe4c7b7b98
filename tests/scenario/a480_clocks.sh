#!/bin/bash
# Wall clocks ten years ahead, ten behind, and at 1970: on the handset, and in what a proxy says the time is.
. "$TOP/tests/support/attack.sh"
command -v faketime >/dev/null || skip "faketime is missing: apt install faketime"
begin_attack 1.0
minor=0

# A cycle of the handset with its clock at this time; the boot clock is not touched.
once_at() {
	FAKETIME_DONT_FAKE_MONOTONIC=1 faketime "$1" "$bin/valise-agent" once --set "state_dir=$handset" "${handset_settings[@]}" \
		>"$TMPDIR/at.log" 2>&1 || die "at $1: $(tail -n 3 "$TMPDIR/at.log")"
	cat "$TMPDIR/at.log" >>"$TMPDIR/agent.log"
}

say "the handset's clock: it updates all the same, each time"
for at in '+10 years' '-10 years' '1970-01-01 00:00:10' '2037-12-31 00:00:00'; do
	minor=$((minor + 1))
	phone 1.$minor good
	roll_out 1.$minor
	once_at "$at"
	runs 1.$minor
done

say "and back at the right time"
minor=$((minor + 1))
phone 1.$minor good
roll_out 1.$minor
once 0
runs 1.$minor

say "a proxy that lies about the time: not believed beyond what fresh signatures say"
cp -r handset handset.before
for year in 1970 2016 2036 9999; do
	phone 1.9$year good
	roll_out 1.9$year
	rm -rf handset && cp -r handset.before handset
	rules "POST,/v1/session filter sed 's/\"server_time\":\"20../\"server_time\":\"${year:0:2}/; s/\"server_time\":\"\\(..\\)../\"server_time\":\"\\1${year:2}/'"
	got=0
	agent once >lied.log 2>&1 || got=$?
	cat lied.log >>agent.log
	case $year:$got in
	1970:* | 2016:*) ;; # it may be refused by the server, or be taken as no news
	*:0) die "$year: metadata from the future's past were taken" ;;
	*) grep -q 'error=' lied.log || die "$year: no error" ;;
	esac
	rules
	once 0
	runs 1.9$year
done

updates_still 2.0
