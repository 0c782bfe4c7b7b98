#!/bin/bash
# Every route of docs/openapi.yaml with every scope: who may is answered, who may not changes nothing.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised limit.client_rate=0
init_organisation
admin=$auth

say "a token for each scope, one for none"
scopes=(publish policy rollout device:read device:command)
for s in "${scopes[@]}"; do
	wants 201 POST /v1/tokens -d "{\"name\": \"only-${s/:/-}\", \"scopes\": [\"$s\"], \"ttl_s\": 3600}"
	echo "$s $(json .token)" >>tokens
done
wants 201 POST /v1/tokens -d '{"name": "gone", "scopes": ["admin"], "ttl_s": 3600}'
gone=$(json .token)
wants 200 DELETE "/v1/tokens/$(json .id)"
{
	cat tokens
	echo "revoked $gone"
	echo "nothing"
} >askers

say "the routes and who may, from the description that a unit test holds against the server's table"
awk '/^  \// { path = $1; sub(/:$/, "", path) }
	/^    (get|head|post|put|patch|delete):$/ { method = toupper($1); sub(/:$/, "", method) }
	/^      x-scopes: / { sub(/^[^[]*\[/, ""); gsub(/[],'\'']/, " "); sub(/ *$/, ""); print method, path, $0 }' \
	"$TOP/docs/openapi.yaml" >routes
[ "$(wc -l <routes)" -ge 45 ] || die "few routes: $(cat routes)"

# is_listed SCOPE SCOPES
is_listed() {
	local s
	for s in $2; do [ "$s" = "$1" ] && return; done
	return 1
}
# may ASKER SCOPES: sets $wanted to a status, or to answered.
may() {
	case $2 in
	none | local) wanted=answered ;;
	enrol) wanted=400 ;; # the key that has to have signed is in the body
	device | session) wanted=401 ;;
	*)
		wanted=403
		if [ "$1" = nothing ] || [ "$1" = revoked ]; then
			wanted=401
		elif [ "$2" = any ] || [ "$1" = admin ] || is_listed "$1" "$2"; then
			wanted=answered
		fi
		;;
	esac
}
# ask refused|answered: with each line "ASKER TOKEN" of standard input each route of which that is wanted;
# leaves "METHOD PATH ASKER WANTED STATUS" in `asked`.
ask() {
	local asker token method path listed text
	: >requests
	: >expected
	while read -r asker token; do
		while read -r method path listed; do
			may "$asker" "$listed"
			[ "$1" = refused ] && [ $wanted = answered ] && continue
			[ "$1" = answered ] && [ $wanted != answered ] && continue
			path=$(sed 's/{sha256}/'"$(printf %064d 0)"'/; s/{[^}]*}/none-such/g' <<<"$path")
			echo "$method $path $asker $wanted" >>expected
			{
				[ ! -s requests ] || echo next
				echo "url = \"$url$path\""
				echo 'write-out = "%{http_code}\n"'
				echo 'output = /dev/null'
				echo insecure
				echo silent
				[ -z "$token" ] || echo "header = \"Authorization: Bearer $token\""
				case $method in
				HEAD) echo head ;;
				GET) ;;
				POST | PUT | PATCH)
					[ "$path" = /v1/uploads ] && text= || text={}
					printf 'request = %s\ndata = "%s"\n' "$method" "$text"
					;;
				*) echo "request = $method" ;;
				esac
			} >>requests
		done <routes
	done
	curl -K requests >statuses || die "curl"
	paste -d ' ' expected statuses >asked
	[ "$(wc -l <statuses)" = "$(wc -l <expected)" ] || die "answers are missing"
}

say "who may not gets 401 or 403, and nothing has changed"
# What anybody did; the server's own rows come when they are due.
rows() {
	wants 200 GET /v1/audit
	jq -c '[.items[] | select(.actor != "server") | del(.n, .hash)]' "$body"
}
before=$(rows)
ask refused <askers
awk '$4 != $5' asked >wrong
[ ! -s wrong ] || die "$(cat wrong)"
echo "$(wc -l <asked) requests"
[ "$(wc -l <asked)" -ge 200 ] || die "few were refused"
[ "$(rows)" = "$before" ] || die "a refused request left a row: $(cat "$body")"

say "who may is let in, whatever then becomes of it"
{
	cat tokens
	echo "admin $admin"
} | ask answered
awk '$5 == 401 || $5 == 403 || $5 == 000 || $5 >= 500' asked >wrong
[ ! -s wrong ] || die "$(cat wrong)"
echo "$(wc -l <asked) requests"

say "what only looks like a token is none"
auth=
for how in "Basic $admin" "bearer  $admin" "Bearer $admin x" "Bearer ${admin}A" "Bearer ${admin%?}" "Bearer" "$admin" \
	"Bearer $(tr 'a-zA-Z' 'A-Za-z' <<<"$admin")" "Bearer $admin,Bearer $admin"; do
	wants 401 GET /v1/status -H "Authorization: $how"
done
api GET /v1/status -H "Authorization: Bearer $admin" -H "Authorization: Bearer $admin"
[ "$status" = 400 ] || [ "$status" = 401 ] || die "two tokens at once: $status"
wants 401 GET "/v1/status?token=$admin&access_token=$admin"
wants 401 GET /v1/status -H "Cookie: token=$admin" -H "X-Api-Token: $admin"
