#!/bin/bash
# The server's disk is full: clear errors, nothing lost, it serves on, and goes on by itself with room.
. "$TOP/tests/support/lib.sh"
[ "$(id -u)" = 0 ] || skip "mounting a small file system needs root"
state=$TMPDIR/small/state
mkdir "$TMPDIR/small"
mount -t tmpfs -o size=24m,mode=755 tmpfs "$TMPDIR/small" 2>/dev/null || skip "a tmpfs cannot be mounted here"
trap 'end_all; umount -l "$TMPDIR/small"' EXIT
server_settings=(--state "$state" --set listen.address=127.0.0.1 --set listen.port=0 --set log.level=debug
	--set user=nobody --set disk.reserve=4M)
init_valised
start_valised
init_organisation acme
make_release v1 acme 1.0.0
"$bin/valise" publish v1 -q >/dev/null 2>&1 || die publish
enrolled_handset a sales
for _ in 1 2 3; do
	handset a checkin >/dev/null || die "check-in"
done
tus=(-H "Tus-Resumable: 1.0.0")

say "what cannot fit is refused before its first byte"
head -c 60000000 /dev/zero | sha256sum | cut -d' ' -f1 | tr -d '\n' >sha
wants 507 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 60000000" -H "Upload-Metadata: sha256 $(base64 -w0 <sha)"
json .code | has -x no_space

say "the disk fills up in the middle of an upload: what arrived stays"
head -c 8000000 /dev/urandom >data
sha256sum data | cut -d' ' -f1 | tr -d '\n' >sha
wants 201 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 8000000" -H "Upload-Metadata: sha256 $(base64 -w0 <sha)"
upload=$(header Location)
part data 0 1000000 >piece
wants 204 PATCH "$upload" "${tus[@]}" -H "Content-Type: application/offset+octet-stream" -H "Upload-Offset: 0" --data-binary @piece
dd if=/dev/zero of="$TMPDIR/small/filler" bs=64k status=none 2>/dev/null || true
part data 1000000 7000000 >piece
wants 507 PATCH "$upload" "${tus[@]}" -H "Content-Type: application/offset+octet-stream" -H "Upload-Offset: 1000000" \
	-H "Expect:" --data-binary @piece

say "meanwhile it serves what it has, and says that it is not ready"
wants 200 GET /healthz
wants 507 GET /readyz
wants 200 GET /v1/releases
handset a checkin >/dev/null || die "an idle check-in with a full disk"

say "changes are refused with the reason, and nothing is half done"
api POST /v1/tickets -d '{"approval": "auto"}'
[ "$status" = 507 ] || [ "$status" = 201 ] || die "a ticket: $status $(cat "$body")"
make_release v2 acme 1.1.0 4000000
if "$bin/valise" publish v2 -q >publish.out 2>&1; then die "published without room"; fi
grep -qi "free\|space\|room" publish.out || die "$(cat publish.out)"

say "with room it goes on by itself, where it was"
rm "$TMPDIR/small/filler"
wait_for 20 "readiness" curl -fsk -o /dev/null "$url/readyz"
wants 200 HEAD "$upload" "${tus[@]}"
at=$(header Upload-Offset)
[ "$at" -ge 1000000 ] || die "offset $at: acknowledged bytes are lost"
part data "$at" 8000000 >piece
wants 204 PATCH "$upload" "${tus[@]}" -H "Content-Type: application/offset+octet-stream" -H "Upload-Offset: $at" --data-binary @piece
wants 200 GET "/objects/$(cat sha)"
cmp "$body" data
"$bin/valise" publish v2 -q >publish.out 2>&1 || die "publish with room: $(cat publish.out)"
"$bin/valised" check --store "${server_settings[@]}" | has "store: fine" || die "the store is damaged"
