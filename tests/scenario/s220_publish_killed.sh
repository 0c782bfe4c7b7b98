#!/bin/bash
# A publish that is killed, a server that is killed, bytes that are altered: whole or not at all.
. "$TOP/tests/support/attack.sh"
init_valised
start_valised
init_organisation acme
v=$bin/valise
start_evil # an upload is remembered by its server: everything goes this way
export VALISE_SERVER=$evil_url VALISE_PIN=$pin
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
uploads=$HOME/.config/valise/uploads
remembered() { [ -n "$(ls -A "$uploads" 2>/dev/null)" ]; }
stored() { find "$state/uploads" -type f -printf '%s\n' 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'; }
some_stored() { [ "$(stored)" -ge 8388608 ]; }
# begin_publish: in the background, until the server has the first chunk; somebody in between keeps the answer to
# it back until there is a file "go".  Sets $pid.
begin_publish() {
	rm -f "$e/go"
	rules "PATCH,/v1/uploads/* filter while [ ! -e go ] && find '$state/uploads' -type f -size +8000k | has .; do sleep 0.05; done; cat"
	"$v" -q publish --level 1 big >publish.out 2>publish.err &
	pid=$!
	wait_for 60 "a chunk on the server" some_stored
	rules
	! is_gone "$pid" || die "the publish has ended: $(cat publish.err)"
}
# kill_publish: there.
kill_publish() {
	begin_publish
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	touch "$e/go"
	remembered || die "the upload is not remembered"
}
releases() { "$v" -o json release list | jq '.items | length'; }

say "a publish that is killed in the middle of an upload"
mkdir big
openssl enc -aes-128-ctr -pass pass:x -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c 60000000 >big/system.img || true
seq 1 1000 >big/vmlinux
cat >big/release.in.json <<'JSON'
{ "product": "acme", "version": "1.0.0", "security_version": 1, "data_schema": 1,
  "components": { "kernel": {"file": "vmlinux", "kind": "kernel"}, "system": {"file": "system.img", "kind": "disk"} },
  "models": { "compact": {"arch": "x86_64", "memory_mib": 128, "vcpus": 1, "kernel": "kernel", "disks": ["system"], "cmdline": "a"} },
  "health": {"deadline_s": 60} }
JSON
kill_publish
[ "$(releases)" = 0 ] || die "half a release is visible"
before=$(stored)

say "the same command goes on: what the server had is not sent again"
"$v" -q -o json publish --level 1 big >again.json || die "publish after the kill"
total=$("$v" -o json release show acme/1.0.0 | jq '.download_size')
sent=$(jq .sent_bytes again.json)
[ $((sent + before)) -le "$total" ] || die "sent $sent of $total again, though $before were there"
jq -e '.result == "published"' again.json >/dev/null
remembered && die "uploads are still remembered: $(ls "$uploads")"
sha=$("$v" -o json release show acme/1.0.0 | jq -r '.release.components.system.object.sha256')
curl -fsk "$url/objects/$sha" | zstd -dc | cmp - big/system.img

say "a server that is killed in the middle and comes back: the publish waits and goes on"
sed -i 's/"1.0.0"/"1.1.0"/' big/release.in.json
openssl enc -aes-128-ctr -pass pass:y -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c 60000000 >big/system.img || true
begin_publish
kill_valised
start_valised "listen.port=$port"
touch "$e/go"
wait $pid || die "publish over a restart: $(cat publish.err)"
"$v" -o json release list | jq -e '[.items[].version] == ["1.0.0", "1.1.0"]' >/dev/null

say "a flipped bit in the server's copy of an upload is found at the end, and a new publish heals it"
sed -i 's/"1.1.0"/"1.2.0"/' big/release.in.json
openssl enc -aes-128-ctr -pass pass:z -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c 60000000 >big/system.img || true
kill_publish
file=$(find "$state/uploads" -type f -size +8000k | sed -n 1p)
byte=$(od -An -tu1 -j 4000000 -N 1 "$file" | tr -d ' ')
printf "\\$(printf %o $((byte ^ 1)))" | dd of="$file" bs=1 seek=4000000 conv=notrunc status=none
# Found by the upload's hash, or, if the server had hashed those bytes before they were damaged,
# when it decodes the object: refused and removed either way.
fails 65 "" "$v" -q publish --level 1 big
remembered && die "a damaged upload is still remembered"
[ "$("$v" -o json release list | jq '.items | length')" = 2 ] || die "half a release is visible"
"$v" -q publish --level 1 big >/dev/null || die "publish after the damage"

say "a published object that rots on the server's disk is found by the next publish, and healed"
damage() {
	local file=$state/objects/${1:0:2}/${1:2} byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$file" | tr -d ' ')
	chmod 644 "$file"
	printf "\\$(printf %o $((byte ^ 16)))" | dd of="$file" bs=1 seek="$2" conv=notrunc status=none
	chmod 444 "$file"
}
system=$("$v" -o json release show acme/1.2.0 | jq -r '.release.components.system.object.sha256')
stop_valised
damage "$system" 5000000
find "$state/objects" -type f -size -5k >objects.before
start_valised "listen.port=$port" # what was verified before is forgotten
sed -i 's/"1.2.0"/"1.3.0"/' big/release.in.json
fails 65 "publish again" "$v" -q publish --level 1 big
[ ! -e "$state/objects/${system:0:2}/${system:2}" ] || die "the damaged object is still served"

say "the same with the hash tree that came before the publish was refused"
tree=$(find "$state/objects" -type f -size 8 | grep -vxFf objects.before | tail -c 66 | tr -d '/\n')
damage "$tree" 100
fails 65 "publish again" "$v" -q publish --level 1 big
"$v" -q publish --level 1 big >/dev/null || die "publish after the damage"
curl -fsk "$url/objects/$system" | zstd -dc | cmp - big/system.img
curl -fsk "$url/objects/$tree" | sha256sum | has "^$tree"

say "a file that changes while it is published is noticed"
printf 'more' >>big/vmlinux
fails 73 "other contents" "$v" -q publish --level 1 big
