#!/bin/bash
# What an administrator does with handsets: tickets, QR codes, approval, groups, policy, revocation.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised
init_organisation acme
v=$bin/valise
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
enrol() { # NAME TICKET
	"$bin/valise-agent" enrol "$2" --name "$1" --set "state_dir=$TMPDIR/$1"
}

say "a ticket is text for machines, and a QR code where it is wanted"
"$v" enrol new --group sales --approve >one.txt 2>notes
[ "$(wc -l <one.txt)" = 1 ] || die "more than the text where there is no terminal"
grep -q '^VALISE1:[A-Z2-7]*$' one.txt
grep -q "Good once, until 20..-..-..T" notes || die "$(cat notes)"
LC_ALL=C.UTF-8 "$v" -q enrol new --qr >qr.txt
grep -q '█' qr.txt || die "no half blocks in UTF-8"
LC_ALL=C "$v" -q enrol new --qr >qr.txt
grep -q '####' qr.txt || die "no letters in ASCII"
LC_ALL=C grep -qP '[^\x20-\x7e\n]' qr.txt && die "letters that ASCII does not have"
"$v" -o json enrol list | jq -e '.items | length == 3 and .[0].groups == ["sales"] and .[0].approval == "manual"' >/dev/null

say "a ticket that was altered in one letter is refused by the handset"
sed 's/.$/A/; t' one.txt | tr -d '\n' >bad.txt
cmp -s <(tr -d '\n' <one.txt) bad.txt && sed -i 's/.$/B/' bad.txt
fails 65 "copy the whole ticket" enrol x "$(cat bad.txt)"

say "a handset waits for approval; both sides show one fingerprint"
enrol one "$(cat one.txt)" >enrol.out 2>&1 || die "$(cat enrol.out)"
print=$(grep -o '[A-Z2-7]\{4\}\(-[A-Z2-7]\{4\}\)\{3\}' enrol.out | sed -n 1p)
"$v" -o json device list --state pending >list.json
jq -e --arg p "$print" '.items | length == 1 and .[0].fingerprint == $p' list.json >/dev/null || die "$(cat list.json)"
id=$(jq -r '.items[0].id' list.json)
fails 64 "$print" "$v" device approve one
"$v" device approve one --yes | has '^state: *active' || die "not active"

say "a device is found by the beginning of its id and by its name"
[ "$("$v" -o json device show "${id:0:5}" | jq -r .id)" = "$id" ]
[ "$("$v" -o json device show one | jq -r .id)" = "$id" ]
fails 66 "no device" "$v" device show nobody
"$v" device list --group sales | has "^${id:0:12} *one "
[ -z "$("$v" -q device list --group nobody)" ] || die "a group without devices shows some"

say "a ticket that was used is used; one that was revoked is no good"
fails 66 "" enrol two "$(cat one.txt)"
two=$("$v" -o json enrol new)
"$v" enrol revoke "$(jq -r .id <<<"$two")" >/dev/null
fails 66 "" enrol two "$(jq -r .ticket <<<"$two")"
"$v" enrol list | has "^$(jq -r .id <<<"$two") *revoked"

say "policy: published, assigned, explained"
echo '{"name": "base", "settings": {"vm.vcpus_max": 4, "image.update_mode": "suggest"}}' >base.json
echo '{"name": "strict", "settings": {"vm.vcpus_max": 2}}' >strict.json
"$v" policy publish base.json | has "^published policy base version 1"
"$v" policy publish base.json | has "^unchanged policy base"
"$v" policy publish strict.json >/dev/null
"$v" policy assign base --all >/dev/null
"$v" policy assign strict --group sales >/dev/null
"$v" policy explain one >explained
grep -q '^vm.vcpus_max *2 *strict version 1, for group sales$' explained || die "$(cat explained)"
grep -q '^image.update_mode *suggest *base version 1, for all' explained || die "$(cat explained)"
grep -q '^vm.memory_max_mib *- *not set' explained || die "$(cat explained)"
"$v" -o json policy explain one | jq -e '.settings["vm.vcpus_max"].candidates | length == 2' >/dev/null
sed -i 's/4/3/' base.json
"$v" policy publish base.json | has "^published policy base version 2"
"$v" policy show base | has '^  vm.vcpus_max = 3$'
sed -i 's/}$/, "version": 1}/' base.json
fails 73 "version 1" "$v" policy publish base.json
fails 66 "" "$v" policy assign nothing --all

say "a rollout to everybody asks first"
make_release r1 acme 1.0.0 200000
"$v" -q publish r1 >/dev/null
fails 64 "every device" "$v" rollout start acme/1.0.0 --all
"$v" -o json rollout start acme/1.0.0 --device one | jq -e '.target.device != null and .state == "running"' >/dev/null
"$v" rollout status | has "^r1 *acme *1.0.0 *device $id"
fails 66 "" "$v" rollout start acme/9.9 --group sales
"$v" rollout start acme/1.0.0 --group slaes >/dev/null 2>notes
grep -q "No handset is reached now" notes || die "a group of nobody: $(cat notes)"
fails 64 "a-z, 0-9" "$v" rollout start acme/1.0.0 --group Sales

say "revoked is shut out"
fails 64 "for good" "$v" device revoke one
"$v" device revoke one --yes --reason "lost in a taxi" | has '^state: *revoked'
fails 77 "" enrol one "$("$v" -o json enrol new | jq -r .ticket)" --again

say "its successor may have its name, and is meant by it then"
"$bin/valise-agent" enrol "$("$v" -o json enrol new | jq -r .ticket)" --name one --set "state_dir=$TMPDIR/successor" >/dev/null
"$v" -o json device show one | jq -e --arg old "$id" '.id != $old and .state == "active"' >/dev/null || die "one is not the successor"
"$v" -o json device show "$id" | jq -e '.state == "revoked"' >/dev/null || die "$id is not the first"
"$v" device revoke one --yes >/dev/null
fails 64 "fits 2 devices" "$v" device show one
