#!/bin/bash
# Publishers come, need each other's signature, and go; handsets and server believe those who are there.
. "$TOP/tests/support/handset.sh"
start_organisation
v=$bin/valise

# fails STATUS TEXT COMMAND...: wants this exit status and text on standard error.
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
# as PERSON ...: on a machine of their own.
as() {
	local home=$TMPDIR/home-$1
	shift
	env -u HOME VALISE_HOME="$home" "$v" -q -y "$@"
}

say "one publisher, one key: a handset has its release"
phone 1.0 good
roll_out 1.0
enrol_handset
once 0
valise -o json publisher list |
	jq -e '[.items[] | select(.name == "releases.acme" and .threshold == 1 and (.keys | length) == 1)] | length == 1' >/dev/null ||
	die "$(valise publisher list)"

say "a release manager joins: two of two have to sign from now on"
mkdir -p home-rita
as rita key new manager --role publisher --no-passphrase >manager.pub
valise -y -o json publisher add acme publisher-acme ./manager.pub --threshold 2 >out || die "publisher add"
jq -es 'length == 1 and .[0].name == "image/targets" and .[0].result == "published" and .[0].missing == 0' out >/dev/null || die "$(cat out)"
phone_of() {
	make_release "$TMPDIR/phone-$1" acme "$1" 300000
	{ echo good && seq 1 2000; } >"$TMPDIR/phone-$1/vmlinux"
}
phone_of 1.1
fails 75 "1 of the 2" "$v" -q publish phone-1.1
valise publish --partial r11.json phone-1.1 >partial.out || die "partial"
grep -q '^+ releases/acme/1.1/release.json' partial.out || die "$(cat partial.out)"
grep -q 'keys of the role: 1 of 2 have signed' partial.out || die "$(cat partial.out)"
valise release list | has '1\.1 ' && die "published with one signature"
wants 200 GET /v1/tuf/image/releases.acme
[ "$(json .signed.version)" = 1 ] || die "the role was changed"

say "what was altered on its way is refused: the list, and the release that goes with it"
jq -c '.payload |= sub("\"security_version\":1"; "\"security_version\":9")' r11.json >payload.json
fails 76 "payload" as rita release approve payload.json
jq -c '.file |= (fromjson | .signed.expires = "2099-01-01T00:00:00Z" | tojson)' r11.json >list.json
fails 76 "does not fit" as rita release approve list.json
fails 64 "releases.acme" as rita policy approve r11.json
cp r11.json stale.json

say "the release manager signs without a server, CI publishes what is complete"
fails 78 "not published" as rita release approve r11.json
valise release approve r11.json || die "approve"
valise release list | has '1\.1 ' || die "$(valise release list)"
roll_out 1.1
once 0
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the handset shows $(on_server .release.applied)"

say "begun before another one was published: told so, and nothing is lost"
phone_of 1.2
valise publish --unsigned --partial r12.json phone-1.2 >/dev/null
jq -e '.file | fromjson | .signatures == []' r12.json >/dev/null || die "signed nevertheless"
phone_of 1.3
valise publish --partial r13.json phone-1.3 >/dev/null
fails 78 "not published" as rita release approve r13.json
valise release approve r13.json
as rita release approve r12.json >/dev/null 2>&1
fails 75 "" "$v" -y release approve r12.json

say "a previous version that somebody made up hides nothing from who signs"
phone_of 1.35
valise publish --unsigned --partial r135.json phone-1.35 >hidden.out
grep -q '^+ releases/acme/1.35/' hidden.out || die "$(cat hidden.out)"
grep -q 'acme/1.3/' hidden.out && die "more than the change is shown: $(cat hidden.out)"
jq -c 'def evil: fromjson | .signed.targets["releases/acme/6.6/release.json"] = .signed.targets["releases/acme/1.3/release.json"] | tojson;
	.previous |= evil | .file |= evil' r135.json >hidden.json
fails 64 "--yes" env -u HOME VALISE_HOME="$TMPDIR/home-rita" "$v" release approve hidden.json
grep -q '^+ releases/acme/6.6/release.json' err || die "hidden: $(cat err)"
grep -q 'all is shown' err || die "not said: $(cat err)"

say "policies need two as well, when it is said so"
as rita key new second --role policy --no-passphrase >second.pub
valise -y publisher add --policy policy ./second.pub --threshold 2
echo '{"name": "base", "settings": {"vm.memory_max_mib": 512}}' >base.json
fails 75 "1 of the 2" "$v" -q policy publish base.json
valise policy publish --partial p.json base.json >/dev/null || die "policy partial"
fails 78 "not published" as rita policy approve p.json
valise policy approve p.json
valise policy list | has '^base *1 ' || die "$(valise policy list)"

say "the holder of the targets key is another person: the change waits for them"
mkdir -p -m 700 home-tom/keys
mv "$HOME/.config/valise/keys/image-targets.key" home-tom/keys/
fails 66 "no key in" "$v" -y publisher remove acme
valise -y publisher remove acme --out gone.json
fails 64 "targets" as tom release approve gone.json
fails 78 "not published" as tom publisher approve gone.json

say "a publisher that was removed: no publishing, no rollout, and no handset installs it"
roll_out 1.3
valise publisher approve gone.json
valise -o json publisher list | jq -e '[.items[].name] == ["policies"]' >/dev/null || die "$(valise publisher list)"
fails 76 "nobody" "$v" -q -y rollout start acme/1.0 --all
phone_of 1.4
fails 76 "" "$v" -q publish phone-1.4
fails 76 "nobody" "$v" -q publish --partial r14.json phone-1.4
got=0
agent once >>agent.log 2>&1 || got=$?
[ $got != 0 ] || die "the handset took a release that nobody may publish"
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the handset shows $(on_server .release.applied)"

say "with a new key the publisher is back, and so are updates"
cp home-tom/keys/image-targets.key "$HOME/.config/valise/keys/"
valise key new fresh --role publisher --no-passphrase >/dev/null
valise -y publisher add acme fresh
fails 76 "publish again" "$v" -q -y rollout start acme/1.3 --all
make_release phone-1.5 acme 1.5 300000
{ echo good && seq 1 2000; } >phone-1.5/vmlinux
valise publish --key fresh phone-1.5 >/dev/null
roll_out 1.5
once 0
[ "$(on_server .release.applied)" = acme/1.5 ] || die "the handset shows $(on_server .release.applied)"

say "the audit log has all of it, whole, with who and what"
valise audit verify >verify.out || die "verify"
head=$(sed -n 's/.*head //p' verify.out)
valise -o json audit list --subject acme/1.5 | jq -e '[.items[].verb] | index("release.publish") != null' >/dev/null ||
	die "$(valise audit list)"
valise audit export log.jsonl >/dev/null
valise audit verify log.jsonl --head "$head" >/dev/null || die "the export does not verify"

say "a row changed, cut off, or the whole log written anew: it shows"
# Two rows that are no signed heads: those have their own checks (s255).
n=$(jq -s '[.[] | select(.verb != "audit.head") | .n] as $n | [$n[] | select(. > 3 and (. + 1 | IN($n[])))][0]' log.jsonl)
sed "${n}s/\"subject\":\"/&x/" log.jsonl >changed.jsonl
fails 65 "row $n does not follow" "$v" audit verify changed.jsonl
sed "${n}d" log.jsonl >hole.jsonl
fails 65 "row $((n + 1)) does not follow row $((n - 1))" "$v" audit verify hole.jsonl
sed '$d' log.jsonl >cut.jsonl
fails 65 "was found good earlier" "$v" audit verify cut.jsonl --head "$head"
head -c -5 log.jsonl >torn.jsonl
fails 65 "cut off" "$v" audit verify torn.jsonl
echo "1 $(printf '%064d' 7)" >"$HOME/.config/valise/audit/head"
fails 65 "another one than" "$v" audit verify
echo "999999 $(printf '%064d' 7)" >"$HOME/.config/valise/audit/head"
fails 65 "was found good earlier" "$v" audit verify
reader=$("$v" -o json token new reader --scope device:read -q | jq -r .token)
fails 77 "" env VALISE_TOKEN="$reader" "$v" audit list
