# tests/support/attack.sh - for scenarios a400 and up: `. "$TOP/tests/support/attack.sh"`.
#
# On top of handset.sh: somebody with the server's own TLS key (tests/tools/evil.c) stands between the
# handset and the server.  Every scenario ends with updates_still.
# shellcheck shell=bash disable=SC2034

# shellcheck source=tests/support/handset.sh
. "$TOP/tests/support/handset.sh"
evil=$BUILD/tests/tools/evil
e=$TMPDIR/evil # the attacker's folder: rules, log, what it recorded
org_keys=$HOME/.config/valise/keys

# begin_attack VERSION...: an organisation with these releases (healthy phones), the attacker, and a
# handset behind it that runs the first of them.
begin_attack() {
	start_organisation
	phone "$1" good
	roll_out "$1"
	start_evil
	enrol_behind_evil
	once 0
	runs "$1"
	shift
	for v; do phone "$v" good; done
}

start_evil() {
	mkdir -p "$e"
	rm -f "$e/port"
	: >"$e/rules"
	[ -e "$e/old.json" ] || echo {} >"$e/old.json"
	"$evil" proxy "$e" "$port" "$(find "$state/tls" -name '*cert*')" "$(find "$state/tls" -name '*key*')" \
		>>"$TMPDIR/evil.log" 2>&1 &
	started+=("$!")
	wait_for 30 "the attacker" test -s "$e/port"
	evil_url=https://127.0.0.1:$(cat "$e/port")
}

enrol_behind_evil() {
	VALISE_SERVER=$evil_url VALISE_PIN=$pin enrol_handset "$@"
}

# rules [LINE...]: what the attacker does from now on (see evil.c; blanks in patterns are commas).
rules() {
	: >"$e/rules.new"
	[ $# = 0 ] || printf '%s\n' "$@" >"$e/rules.new"
	mv "$e/rules.new" "$e/rules"
}

# Check-ins are answered with FILTER applied (jq); the answer that went out is in $e/last.
change_answer() {
	rules "POST,/v1/checkin filter tee answer | jq -c --slurpfile old old.json '$1' | tee last" "${@:2}"
}

# The last check-in's answer with metadata is recorded as evil/NAME.
record_answer() {
	rules "POST,/v1/checkin filter tee now.\$\$; if jq -e .director now.\$\$ >null; then cp now.\$\$ $1; fi; rm now.\$\$"
}

# runs VERSION: what the handset says that it runs, and the server believes.
runs() {
	[ "$(on_server .release.applied)" = "acme/$1" ] || die "the server shows $(on_server .release.applied), not $1"
	[ "$(grep -o 'to=confirmed release="[^"]*"' "$TMPDIR/agent.log" | tail -n 1)" = "to=confirmed release=\"acme/$1\"" ] ||
		die "not confirmed: $1"
}

# refused STATUS TEXT [OPTION...]: a cycle ends with this status and a line with this text (grep -E), and
# starts no trial.
refused() {
	local wanted=$1 text=$2 got=0 before after
	shift 2
	before=$(grep -c 'to=trial' "$TMPDIR/agent.log" || true)
	agent once "$@" >"$TMPDIR/refused.log" 2>&1 || got=$?
	cat "$TMPDIR/refused.log" >>"$TMPDIR/agent.log"
	[[ "$got" =~ ^$wanted$ ]] || die "status $got, wanted $wanted and: $text"
	grep -Eq -- "$text" "$TMPDIR/refused.log" || {
		cat "$TMPDIR/refused.log"
		die "no such error: $text"
	}
	after=$(grep -c 'to=trial' "$TMPDIR/agent.log" || true)
	[ "$before" = "$after" ] || die "something was installed: $text"
}

# What is refused says what to do.
says_what_to_do() {
	grep -q 'hint=' "$TMPDIR/refused.log" || die "no advice: $(tail -n 3 "$TMPDIR/refused.log")"
}

# updates_still VERSION: the attack is over; a new release reaches the handset.
updates_still() {
	rules
	phone "$1" good
	roll_out "$1"
	once 0
	runs "$1"
}

# only_ran VERSION...: no other release was ever booted.
only_ran() {
	local v found
	found=$(grep -o 'vm.start slot=[ab] release=[^ ]*' "$TMPDIR/agent.log" | sed 's/.*release=acme.//' | sort -u)
	for v in $found; do
		case " $* " in *" $v "*) ;; *) die "$v was booted" ;; esac
	done
}

# sign FILE KEY... >NEW: with these key files and no others.
sign() {
	"$evil" sign "$@"
}

# sql STATEMENT: in the server's database.
sql() {
	database "$state/valise.db" "$1"
}

# ---- with stolen keys -----------------------------------------------------------------------

# steal_online_keys: what is in the server's keys/ is the attacker's from now on.
steal_online_keys() {
	mkdir -p "$e/online"
	cp "$state"/keys/*.key "$e/online"
	chmod u+rw "$e"/online/*
	cat >"$e/forge" <<-'EOT'
		#!/bin/bash
		# An answer comes in; its director metadata goes out changed by the jq filter $1 (on the
		# targets' "signed"), signed anew with the stolen keys.  $2: version.
		set -eu -o pipefail
		t=$(mktemp -d -p .)
		cat >$t/answer
		if jq -e .director $t/answer >/dev/null; then
			jq -r .director.targets $t/answer >$t/was
			v=${2:-$(jq .signed.version $t/was)}
			expires=$(jq -r .signed.expires $t/was)
			jq ".signed | $1 | .version = $v" $t/was >$t/new
			$EVIL sign $t/new online/director-targets.key >$t/targets
			jq -r .director.snapshot $t/answer | jq ".signed | .version = $v | .meta[\"targets.json\"] = {version: $v}" >$t/new
			$EVIL sign $t/new online/director-snapshot.key >$t/snapshot
			jq -r .director.timestamp $t/answer | jq ".signed | .version = $v | .meta[\"snapshot.json\"] = {version: $v}" >$t/new
			$EVIL sign $t/new online/director-timestamp.key >$t/timestamp
			jq -c --rawfile a $t/targets --rawfile b $t/snapshot --rawfile c $t/timestamp \
				'.director = {targets: $a, snapshot: $b, timestamp: $c}' $t/answer
		else
			cat $t/answer
		fi
		rm -r $t
	EOT
	chmod +x "$e/forge"
}

# forge_director FILTER [VERSION [RULE...]]: every answer from now on.
forge_director() {
	rules "POST,/v1/checkin filter EVIL=$evil ./forge '$1' ${2:-}" "${@:3}"
}

# image_file NAME >FILE: of the server's image repository.
image_file() {
	wants 200 GET "/tuf/image/$1"
	cat "$body"
}

# version_of ROLE: newest of the image repository.
version_of() {
	local n
	n=$(image_file timestamp.json | jq '.signed.meta["snapshot.json"].version')
	[ "$1" != snapshot ] || {
		echo "$n"
		return
	}
	image_file "$n.snapshot.json" | jq ".signed.meta[\"$1.json\"].version"
}

# forge_image ROLE FILE [FILTER]: sets $image_rules, by which FILE is the newest ROLE ("targets",
# "releases.acme") of the image repository; snapshot and timestamp are signed with the stolen keys.
# FILTER changes the snapshot.
forge_image() {
	local s t v
	s=$(version_of snapshot)
	v=$(jq .signed.version "$2")
	cp "$2" "$e/$v.$1.json.forged"
	image_file "$s.snapshot.json" |
		jq ".signed | .version += 1 | .meta[\"$1.json\"].version = $v | ${3:-.}" |
		sign - "$e/online/image-snapshot.key" >"$e/snapshot.forged"
	t=$(jq .signed.version "$e/snapshot.forged")
	image_file timestamp.json | jq ".signed | .version += 1 | .meta[\"snapshot.json\"] = {version: $t}" |
		sign - "$e/online/image-timestamp.key" >"$e/timestamp.forged"
	image_rules=("GET,/tuf/image/timestamp.json file timestamp.forged" "GET,/tuf/image/$t.snapshot.json file snapshot.forged"
		"GET,/tuf/image/$v.$1.json file $v.$1.json.forged")
}
