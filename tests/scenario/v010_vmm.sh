#!/bin/bash
# valise-vmm with the tiny image: verified start, health from the guest, clean stop, and what
# happens to a damaged file, a broken guest, and a phone whose agent goes away.
set -eu
top=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${BUILD:-$top/build/release}
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

for t in mkfs.erofs:erofs-utils xorriso:xorriso qemu-system-x86_64:qemu-system-x86; do
	PATH=$PATH:/usr/sbin command -v "${t%:*}" >/dev/null || { echo "${t%:*} is missing: apt install ${t#*:}"; exit 77; }
done
for name in tiny tiny-panic; do
	"$top/deploy/images/build" $name "$dir/$name" || { echo "$name cannot be built here"; exit 77; }
done

bad() { echo "$1"; cat "$dir/events"; tail -n 20 "$dir/serial"; exit 1; }
nonce=00112233445566778899aabbccddeeff
mkdir "$dir/drive"
printf 'instance-id: t\nlocal-hostname: work-phone\nvalise-boot: %s\nvalise-product: p\nvalise-version: 1\n' $nonce >"$dir/drive/meta-data"
printf '#cloud-config\n{"valise":{"apps":{"config":{}}}}\n' >"$dir/drive/user-data"
xorriso -as mkisofs -quiet -V cidata -J -r -o "$dir/config.iso" "$dir/drive" 2>/dev/null
truncate -s 64M "$dir/data"
mkfifo "$dir/commands"

# launch IMAGE FIELDS...: in the background; commands go to descriptor 9.
launch() {
	local image=$1
	shift
	: >"$dir/events"
	"$build/tests/tools/launch" "$build/bin/valise-vmm" "$dir/$image" "$dir/config.iso" "$dir/data" \
		"$dir/serial" id=t$$ "cmdline=$(sed -n 's/.*"cmdline": "\([^"]*\)".*/\1/p' "$dir/$image/release.in.json" | head -n 1)" \
		"$@" <"$dir/commands" >"$dir/events" 2>"$dir/errors" &
	launched=$!
	exec 9>"$dir/commands"
}
# await TEXT: until an event has it.
await() {
	local i
	for i in $(seq 1200); do
		grep -q "$1" "$dir/events" && return
		kill -0 $launched 2>/dev/null || { grep -q "$1" "$dir/events" && return || bad "ended before: $1"; }
		sleep 0.1
	done
	bad "timed out before: $1"
}
ended() { rc=0; wait $launched || rc=$?; exec 9>&-; }

launch tiny
await '"event":"started","engine":"qemu-tcg"'
echo '{"cmd":"status"}' >&9
await '"event":"status","engine":"qemu-tcg","uptime_ms":'
await "health.*$nonce.*healthy"
# What a phone's process may: a uid that is not ours, no capability, no network but lo.
qemu=$(pgrep -f "name valise-t$$" -P "$(pgrep -P $launched)" | head -n 1)
[ -n "$qemu" ] || bad "no engine is found"
grep -q 'CapEff:.0000000000000000' "/proc/$qemu/status" || bad "the engine has capabilities"
grep -q 'NoNewPrivs:.1' "/proc/$qemu/status" || bad "the engine may gain privileges"
grep -q 'Seccomp:.2' "/proc/$qemu/status" || bad "the engine has no system-call filter"
[ "$(id -u)" != 0 ] || ! grep -q '^Uid:.0' "/proc/$qemu/status" || bad "the engine is root"
echo '{"cmd":"stop","grace_ms":60000}' >&9
await '"event":"exited","reason":"stopped"'
ended
[ $rc = 0 ] || bad "exit status $rc"

# Each of the files that the guest runs, one bit wrong against its root: never started.
for file in vmlinux initrd.cpio system.erofs; do
	launch tiny damage=$file
	await '"event":"exited","reason":"error".*"code":"corrupt"'
	ended
	[ $rc = 65 ] || bad "$file: exit status $rc"
	! grep -q started "$dir/events" || bad "$file: it ran"
done

# A guest that panics has ended; the reason is told.
launch tiny-panic
await '"event":"exited","reason":"reboot"'
ended

# No phone outlives its agent.
launch tiny
await '"event":"started"'
engine=$(pgrep -f "name valise-t$$" | sort | tr '\n' ' ')
[ -n "$engine" ] || bad "no engine is found"
kill -KILL $launched
wait $launched 2>/dev/null || true
exec 9>&-
for i in $(seq 100); do
	alive=
	for p in $engine; do [ ! -d "/proc/$p" ] || grep -q '^State:.Z' "/proc/$p/status" 2>/dev/null || alive=1; done
	[ -n "$alive" ] || break
	sleep 0.1
done
[ -z "$alive" ] || bad "the engine outlived its launcher"
