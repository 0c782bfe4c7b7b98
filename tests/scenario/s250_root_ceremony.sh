#!/bin/bash
# Three people change a root on three machines; online keys are rotated; a handset follows all of it.
. "$TOP/tests/support/handset.sh"
init_valised
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0
"$bin/valise" init --server "$url" --pin "$pin" --token-file admin.token --no-passphrase --product acme \
	--root 2of3 -q >init.out 2>&1 || die "$(cat init.out)"
auth=$(cat "$HOME/.config/valise/token")
v=$bin/valise
admin=$HOME/.config/valise

# fails STATUS TEXT COMMAND...: wants this exit status and text on standard error.
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
# as PERSON ...: on a machine of their own, without any server.
as() {
	local home=$TMPDIR/home-$1
	shift
	env -u HOME VALISE_HOME="$home" "$v" -q -y "$@"
}
# take PERSON KEY...: keys go to where they belong, off the administrator's machine.
take() {
	local person=$1 k
	shift
	mkdir -p -m 700 "home-$person/keys"
	for k; do mv "$admin/keys/$k.key" "home-$person/keys/"; done
}
take ann image-root-1 director-root-1
take ben image-root-2 director-root-2
take eve image-root-3 director-root-3

say "a handset is enrolled and has its first release"
phone 1.0 good
roll_out 1.0
enrol_handset
once 0

say "the administrator, who holds no root key, begins the next root: Eve leaves, Dan comes"
mkdir -p home-dan
as dan key new dan-image --role image-root --no-passphrase >dan.pub
valise root rotate image next.json >/dev/null
valise root remove-key next.json "$(as eve key export image-root-3 | jq -Sc . | tr -d '\n' | sha256sum | cut -c1-12)" >/dev/null
valise root add-key next.json ./dan.pub >show.out
grep -q '^+ root: key' show.out && grep -q '^- root: key' show.out || die "$(cat show.out)"
cp next.json unsigned.json
fails 66 "no key in" "$v" -y root sign next.json
fails 76 "2 signatures are missing" "$v" root publish next.json

say "each signs at home; what one has signed the other sees"
fails 64 "! version 2" env -u HOME VALISE_HOME="$TMPDIR/home-ann" "$v" -q root sign next.json # shown, then asked
as ann root sign next.json >ann.out || die "Ann: $(cat ann.out)"
grep -q '  signed .* image-root-1' ann.out || die "$(cat ann.out)"
as ann -o json root show next.json | jq -e '.missing == 1 and .version == 2' >/dev/null
cp next.json signed-by-ann.json
fails 66 "all have signed" as ann root sign next.json

say "a stranger's signature, an altered text, another organisation's file: refused whole"
mkdir -p home-mal
as mal key new mal --no-passphrase >/dev/null
fails 76 "may not sign" as mal root sign --key mal next.json
jq -c '.file |= (fromjson | .signed.roles.root.threshold = 1 | tojson)' next.json >altered.json
fails 76 "does not fit" as ben root sign altered.json
jq -c '.file |= (fromjson | .signatures += [{"keyid": ("0" * 64), "sig": ("0" * 128)}] | tojson)' next.json >stranger.json
fails 76 "does not fit" as ben root sign stranger.json
jq -c '.roots[0] |= (fromjson | .signed.roles.root.threshold = 1 | tojson)' next.json >other.json
fails 76 "root" as ann root sign other.json
jq -c '.file |= (fromjson | .signed.version = 3 | .signatures = [] | tojson)' next.json >skips.json
fails 76 "does not follow" as ben root sign skips.json
head -c 500 next.json >cut.json
fails 65 "cut.json" as ben root sign cut.json

say "a signature that is Dan's alone does not make it: the old root's keys decide"
cp unsigned.json dan-only.json
as dan root sign dan-only.json >/dev/null
fails 76 "signatures are missing" "$v" root publish dan-only.json
jq -r .file dan-only.json >raw.json
wants 403 POST /v1/tuf/image/root --data-binary @raw.json

say "with the second signature it is published, and a handset updates behind it"
as ben root sign next.json >/dev/null
valise -o json root publish next.json | jq -e '.version == 2' >/dev/null || die publish
fails 76 "" "$v" root publish dan-only.json
phone 1.1 good
roll_out 1.1
once 0
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the handset did not follow the new root"
jq -e '.signed.version == 2' "$handset/tuf/image/root.json" >/dev/null || die "the handset has another root"

say "a file of before is refused by everyone who has seen the new root"
fails 76 "older" "$v" -y root sign signed-by-ann.json

say "who left cannot sign any more, who came can"
valise root rotate image next3.json >/dev/null
fails 66 "no key in" as eve root sign next3.json
as dan root sign next3.json >/dev/null
as ben root sign next3.json >/dev/null
valise root publish next3.json >/dev/null

say "online keys: new ones wait beside the old ones until a root names them"
"$bin/valised" keys rotate "${server_settings[@]}" >rotate.out || die "$(cat rotate.out)"
[ "$(grep -c 'made a key' rotate.out)" = 5 ] || die "$(cat rotate.out)"
reloaded() { [ "$(grep -c mgr.reloaded server.log)" = "$1" ]; }
kill -HUP "$server_pid"
wait_for 30 "the reload" reloaded 1
"$bin/valised" keys show "${server_settings[@]}" >keys.out
[ "$(grep -c 'signs  next .* waits' keys.out)" = 5 ] || die "$(cat keys.out)"
"$bin/valised" keys retire "${server_settings[@]}" | has '^0 old keys' || die "retired too early"
phone 1.2 good
old=$(curl -fsk "$url/tuf/image/timestamp.json" | jq -r '.signatures[0].keyid')
for repo in image director; do
	valise root rotate $repo $repo.json >$repo.out
	new_keys=3
	[ $repo = director ] || new_keys=2 # targets of the image repository are people's
	[ "$(grep -c '^+ ' $repo.out)" = $new_keys ] || die "$(cat $repo.out)"
	as ben root sign $repo.json >/dev/null
	if [ $repo = image ]; then as dan root sign $repo.json >/dev/null; else as ann root sign $repo.json >/dev/null; fi
	valise root publish $repo.json >/dev/null || die "publish $repo"
done
new=$(curl -fsk "$url/tuf/image/timestamp.json" | jq -r '.signatures[0].keyid')
[ "$old" != "$new" ] || die "the old key still signs"

say "the handset follows both roots and takes what the new keys sign"
roll_out 1.2
once 0
[ "$(on_server .release.applied)" = acme/1.2 ] || die "the handset did not follow the new online keys"

say "the old keys go; nothing changes for anybody"
"$bin/valised" keys retire "${server_settings[@]}" | has '^5 old keys' || die "not retired"
kill -HUP "$server_pid"
wait_for 30 "the reload" reloaded 2
phone 1.3 good
roll_out 1.3
once 0
[ "$(on_server .release.applied)" = acme/1.3 ] || die "the handset stopped"
[ "$(curl -fsk "$url/tuf/image/timestamp.json" | jq -r '.signatures[0].keyid')" = "$new" ] || die "another key signs"
