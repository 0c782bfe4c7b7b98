#!/bin/bash
# The server's disk is full to the last byte wherever something is to be stored: each request is refused with the reason
# or done whole; after that, with room, each of them succeeds.
. "$TOP/tests/support/lib.sh"
[ "$(id -u)" = 0 ] || skip "mounting a small file system needs root"
state=$TMPDIR/small/state
mkdir "$TMPDIR/small"
mount -t tmpfs -o size=40m,mode=755 tmpfs "$TMPDIR/small" 2>/dev/null || skip "a tmpfs cannot be mounted here"
trap 'end_all; umount -l "$TMPDIR/small"' EXIT
server_settings=(--state "$state" --set listen.address=127.0.0.1 --set listen.port=0 --set log.level=debug
	--set user=nobody --set disk.reserve=64K)
init_valised
start_valised limit.device_rate=0 limit.client_rate=0
init_organisation acme
make_release v1 acme 1.0.0
make_release v2 acme 1.1.0
"$bin/valise" publish v1 -q >/dev/null 2>&1 || die publish
enrolled_handset a sales
enrolled_handset b sales
for _ in 1 2 3; do
	handset a checkin >/dev/null
	handset b checkin >/dev/null
done
wants 201 POST /v1/tickets -d '{"approval": "auto"}'
spare=$(json .token)
wants 201 POST /v1/tickets -d '{"approval": "auto"}'
unwanted=$(json .id)
echo '{"name": "base", "settings": {"vm.memory_max_mib": 512}}' >base.json
tus=(-H "Tus-Resumable: 1.0.0")
append=("${tus[@]}" -H "Content-Type: application/offset+octet-stream")
head -c 300000 /dev/urandom >data
sha256sum data | cut -d' ' -f1 | tr -d '\n' >sha
wants 201 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 300000" -H "Upload-Metadata: sha256 $(base64 -w0 <sha)"
upload=$(header Location)

fill() { cat /dev/zero >"$TMPDIR/small/filler" 2>/dev/null || true; }
# The log of what is not yet in the database has room of its own for some changes: use it up.
fill
for _ in $(seq 3000); do
	api POST /v1/tickets -d '{"approval": "auto"}'
	[ "$status" = 201 ] || break
	fill
done
[ "$status" = 507 ] || die "no end of tickets: $status"
rows=$(sqlite3 "$state/valise.db" "SELECT (SELECT count(*) FROM tickets) || ' ' || (SELECT count(*) FROM audit)")

say "each kind of change is refused with the reason"
full() {
	api "$@"
	[ "$status" = 507 ] || die "$1 $2: $status $(cat "$body")"
	json .code | has -x no_space
	json '.hint | length > 0' >/dev/null
}
full POST /v1/tickets -d '{"approval": "auto"}'
full DELETE "/v1/tickets/$unwanted"
full POST /v1/tokens -d '{"name": "ci", "scopes": ["publish"]}'
full POST /v1/rollouts -d '{"product": "acme", "version": "1.0.0", "target": {"group": "sales"}}'
full POST "/v1/devices/$device/revoke" -d '{"reason": "lost"}'
full POST /v1/releases/acme/1.0.0/withdraw
full PATCH "$upload" "${append[@]}" -H "Upload-Offset: 0" -H "Expect:" --data-binary @data
full POST /v1/uploads "${tus[@]}" -H "Upload-Length: 300001" -H "Upload-Metadata: sha256 $(base64 -w0 <sha)"
no_room() { # COMMAND...
	if "$@" >out 2>&1; then die "done without room: $*"; fi
	grep -qi "507\|no space\|no_space\|full\|free" out || die "$*: $(cat out)"
}
no_room "$bin/valise" publish v2 -q
no_room "$bin/valise" policy publish base.json -q
no_room handset c enrol "$spare"
no_room handset a rekey "$TMPDIR/handset-next"
no_room handset a checkin release=acme/1.0.0 event=1:rolled_back:'health: no report in 60 s'
no_room "$bin/valised" backup "$TMPDIR/small/backup" "${server_settings[@]}"
if "$bin/valised" restore "$TMPDIR/small/backup" --state "$TMPDIR/other" --set user=nobody >out 2>&1; then die "half a backup was taken for one"; fi

say "and what was there is served"
wants 200 GET /v1/releases
handset b checkin >/dev/null || die "an idle check-in"
[ "$rows" = "$(sqlite3 "$state/valise.db" "SELECT (SELECT count(*) FROM tickets) || ' ' || (SELECT count(*) FROM audit)")" ] || die "rows came or went"

say "with room each of them is done"
rm -r "$TMPDIR/small/filler" "$TMPDIR/small/backup" 2>/dev/null || true
wait_for 20 "readiness" curl -fsk -o /dev/null "$url/readyz"
wants 200 HEAD "$upload" "${tus[@]}"
at=$(header Upload-Offset)
part data "$at" 300000 >piece
wants 204 PATCH "$upload" "${append[@]}" -H "Upload-Offset: $at" --data-binary @piece
wants 201 POST /v1/tokens -d '{"name": "ci", "scopes": ["publish"]}'
wants 201 POST /v1/rollouts -d '{"product": "acme", "version": "1.0.0", "target": {"group": "sales"}}'
wants 200 DELETE "/v1/tickets/$unwanted"
"$bin/valise" publish v2 -q >out 2>&1 || die "publish: $(cat out)"
"$bin/valise" policy publish base.json -q >out 2>&1 || die "policy: $(cat out)"
handset c enrol "$spare" >/dev/null || die "enrol"
handset a checkin release=acme/1.0.0 event=1:rolled_back:'health: no report in 60 s' | jq -e '.ack == 1' >/dev/null || die "no ack"
handset a rekey "$TMPDIR/handset-next" >/dev/null || die "rekey"
"$bin/valised" backup "$TMPDIR/backup" "${server_settings[@]}" >/dev/null || die "backup"
"$bin/valise" audit verify >out 2>&1 || die "the audit log: $(cat out)"
"$bin/valised" check --store "${server_settings[@]}" | has "store: fine" || die "the store is damaged"
