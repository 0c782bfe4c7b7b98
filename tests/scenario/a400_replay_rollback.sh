#!/bin/bash
# A proxy with the server's TLS key replays, and rolls back one layer at a time, on both repositories.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0 1.1
cp -r handset handset.first
api GET /tuf/image/timestamp.json && cp "$body" "$e/timestamp.old"

say "the answer for the first release is recorded, then the handset updates"
record_answer old.json
roll_out 1.1
once 0
runs 1.1
phone 1.2 good
roll_out 1.0 # as somebody else's choice would be: signed, allowed, not what is now wanted
record_answer wanted10.json
once 0
runs 1.0
roll_out 1.2

say "a whole old answer"
rules 'POST,/v1/checkin file old.json'
refused 76 'director: timestamp: .*version [0-9]+ after version [0-9]+ was accepted'
says_what_to_do

say "one old layer of the director in a new answer"
change_answer '.director.timestamp = $old[0].director.timestamp'
refused 76 'director: timestamp: version [0-9]+ after version [0-9]+ was accepted'
change_answer '.director.snapshot = $old[0].director.snapshot'
refused '(65|76)' 'director: snapshot: '
change_answer '.director.targets = $old[0].director.targets'
refused '(65|76)' 'director: targets: '

say "two old layers"
change_answer '.director.snapshot = $old[0].director.snapshot | .director.targets = $old[0].director.targets'
refused '(65|76)' 'director: snapshot: '
change_answer '.director.timestamp = $old[0].director.timestamp | .director.targets = $old[0].director.targets'
refused 76 'director: timestamp: '

say "old layers of the image repository"
rules 'GET,/tuf/image/timestamp.json file timestamp.old'
refused 76 'image repository: timestamp: version [0-9]+ after version [0-9]+ was accepted'
says_what_to_do
for role in snapshot releases.acme; do
	image_file "$(version_of $role).$role.json" >"$e/$role.old"
	phone "1.2.$role" good
	roll_out "1.2.$role"
	rules "GET,/tuf/image/*.$role.json file $role.old"
	refused '(65|76)' "$role: "
	says_what_to_do
done

say "a root that was: nothing to go back to"
api GET /tuf/image/1.root.json && cp "$body" "$e/root.old"
rules 'GET,/tuf/image/2.root.json file root.old' 'GET,/tuf/director/2.root.json file root.old'
refused 76 'root: '
says_what_to_do

say "the server was told of each"
on_server '.events[].reason' | has 'was accepted' || die "not told: $(on_server .events)"
updates_still 1.3
only_ran 1.0 1.1 1.2 1.3
