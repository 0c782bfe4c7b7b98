#!/bin/bash
# Somebody between handset and server answers a change of keys that the server never saw, with the right fingerprint at that:
# nothing is lost by it, and the server has the new keys as soon as it is asked itself.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0

age_keys() {
	touch -d 2020-01-01 "$handset/identity/signing.key"
	[ ! -e "$handset/identity/change.json" ] ||
		sed -i 's/"since":"[^"]*"/"since":"2020-01-01T00:00:00Z"/' "$handset/identity/change.json"
}
# Of the pair that is asked for.
asked_fingerprint() {
	jq -r '.identity + .sealing' "$handset/identity/change.json" | unhex | openssl dgst -sha256 -binary |
		head -c 10 | base32 | sed 's/\(....\)\(....\)\(....\)\(....\)/\1-\2-\3-\4/'
}
print=$(on_server .fingerprint)

say "an answer that names other keys is nobody's word"
echo '{"fingerprint":"AAAA-AAAA-AAAA-AAAA"}' >"$e/lie"
rules 'POST,/v1/device/key lie lie'
age_keys
once 0
[ "$(jq -r .state "$handset/identity/change.json")" = asked ] || die "believed"
[ "$(on_server .fingerprint)" = "$print" ] || die "the server has new keys"
grep -q "keys.change.*AAAA-AAAA-AAAA-AAAA" "$TMPDIR/agent.log" || die "nobody was told"

say "an answer that is no JSON, an empty one, a status, none at all"
for what in 'lie empty' 'file empty' 'status 500' 'status 404' 'cut 3' drop; do
	: >"$e/empty"
	rules "POST,/v1/device/key $what"
	agent once >>"$TMPDIR/agent.log" 2>&1 || true
	[ "$(jq -r .state "$handset/identity/change.json")" = asked ] || die "$what: believed"
done
# Where the answer alone was held back the server has them: once more, and both know it.
rules
once 0
[ "$(on_server .fingerprint)" != "$print" ] || die "the server was not asked"
[ "$(on_server .key_changes)" = 1 ] || die "$(on_server .key_changes) changes"
[ "$(jq -r .state "$handset/identity/change.json")" = done ] || die "not known to be done"

say "the right answer, for a question that was kept back"
age_keys
print=$(on_server .fingerprint)
once 137 --set test.crash=keys-asked
echo "{\"fingerprint\":\"$(asked_fingerprint)\"}" >"$e/lie"
rules 'POST,/v1/device/key lie lie'
refused 77 "not by key"
says_what_to_do
[ "$(jq -r .state "$handset/identity/change.json")" = done ] || die "not believed, though it was the right one"
[ "$(on_server .fingerprint)" = "$print" ] || die "the server has new keys"
rules
once 0
[ "$(on_server .fingerprint)" != "$print" ] || die "the server was not told"
[ "$(on_server .key_changes)" = 2 ] || die "$(on_server .key_changes) changes"

updates_still 1.1
only_ran 1.0 1.1
