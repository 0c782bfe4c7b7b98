#!/bin/bash
# valise without a server: help, exit statuses, completion, manual page, life without a terminal.
set -eu
v=$BUILD/bin/valise
cd "$TMPDIR"
export HOME=$TMPDIR/nobody
unset VALISE_HOME VALISE_SERVER VALISE_PIN VALISE_TOKEN VALISE_PASSPHRASE_FILE XDG_CONFIG_HOME

# Runs valise; wants this exit status, and this text on standard error.
wants() {
	local status=$1 text=$2 got=0
	shift 2
	"$v" "$@" >out 2>err </dev/null || got=$?
	if [ $got != "$status" ] || ! grep -qF -- "$text" err; then
		echo "valise $*: status $got, wanted $status and \"$text\"; it said:"
		cat out err
		exit 1
	fi
}

echo "# every command has a help that names its options"
"$v" --help >help
commands=$(sed -n '/^commands:/,/^$/p' help | sed -n 's/^  \([a-z-]\+\( [a-z-]\+\)\?\).*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 30 ]
while read -r command; do
	# shellcheck disable=SC2086
	"$v" help $command >one
	grep -q "^usage: valise $command" one
	grep -q -- "--output=FORMAT" one
done <<<"$commands"

echo "# mistakes of use are 64, with a hint"
wants 64 "hint:" nonsense
wants 64 "release show needs PRODUCT/VERSION" release show
wants 64 "did you mean --token-file" status --token-fiel x
wants 64 "wants table or json" -o xml key list
wants 64 "say whom" rollout start acme/1.0
wants 64 "--all, --group" policy assign base
wants 64 "say whom" rollout start acme/1.0 --all --group x
wants 64 "wants a duration" token new ci --scope publish --ttl soon
wants 64 "no such scope" token new ci --scope root
wants 64 "2of3" init --product p --root 3of2
wants 64 "name at least one --product" init
wants 64 "64 lower-case hex digits" status -s https://127.0.0.1:9 --pin abc
wants 65 "" release show 'acme/../1'
wants 78 "plain http" -s http://127.0.0.1:9 status

echo "# what is not known says how it gets known"
wants 78 "valise login URL" status
wants 78 "valise login URL" -s https://127.0.0.1:9 status
wants 66 "no key \"x\"" key export x

echo "# no home, a folder for a file, what to do is said"
HOME= wants 78 "--home DIR" key list
HOME=relative wants 78 "--home DIR" key list
HOME= wants 78 "--home DIR" status
HOME= wants 78 "--home DIR" key new x --no-passphrase
mkdir folder
wants 71 "hint: name a file" policy check folder
rmdir folder

echo "# no server is 69, within the time that a person waits"
export VALISE_TOKEN=vt_x
wants 69 "https://127.0.0.1:9" -s https://127.0.0.1:9 --pin "$(printf '%064d' 0)" status

echo "# settings are read strictly"
mkdir -p "$HOME/.config/valise"
echo "servre = https://a.example" >"$HOME/.config/valise/config"
wants 78 "config:1" status
rm -r "$HOME"

echo "# -o json: errors are JSON too, in the shape of the server's, whenever they occur"
wants 66 '{"code":"not_found","message":"no key \"x\"' -o json key export x
wants 64 '{"code":"usage",' -o json nonsense
wants 64 '{"code":"usage",' -o json release show --nonsense
jq -e '.hint == "see --help"' err >/dev/null
[ ! -s out ]

echo "# keys: made, listed, exported, sealed anew; never in clear, never for others to read"
printf 'one\n' >one.pass
printf 'two\n' >two.pass
chmod 644 one.pass
wants 77 "one.pass: it holds a secret and is open to others (mode 0644)" key new k --passphrase-file one.pass
wants 77 "chmod 600" key new k --passphrase-file one.pass
chmod 600 one.pass two.pass
"$v" key new k --role publisher --comment "of CI" --passphrase-file one.pass >public.json
jq -e '.keytype == "ed25519" and .scheme == "ed25519"' public.json >/dev/null
"$v" key export k | cmp - public.json
key=$HOME/.config/valise/keys/k.key
[ "$(stat -c %a "$key")" = 600 ]
"$v" -o json key list | jq -e '.items == [.items[0]] and .items[0].name == "k" and .items[0].sealed' >/dev/null
NO_COLOR=1 "$v" key list | grep -q '^k *publisher *yes'
wants 73 "there is a key" key new k --passphrase-file one.pass
wants 77 "" key passwd k --passphrase-file two.pass
VALISE_NEW_PASSPHRASE_FILE=two.pass "$v" key passwd k --passphrase-file one.pass
wants 77 "" key passwd k --passphrase-file one.pass
"$v" key export k | cmp - public.json
wants 64 "there is no terminal" key new other
wants 66 "docs/FORMATS.md, section 1" -s https://127.0.0.1:9 publish --key k --passphrase-file two.pass .

echo "# policy bundles are checked without a server"
echo '{"name": "base", "settings": {"vm.vcpus_max": 2}}' >policy.json
"$v" policy check policy.json | grep -q "policy base is fine"
"$v" -o json policy check - <policy.json | jq -e '.version == 1 and .format == 1' >/dev/null
echo '{"name": "base", "settings": {"vm.vcpus_max": "two"}}' >policy.json
wants 65 "vm.vcpus_max" policy check policy.json

echo "# a full disk is no success"
if "$v" key list >/dev/full 2>err; then
	echo "valise key list >/dev/full succeeded"
	exit 1
fi
grep -q "standard output" err

echo "# the shells themselves complete commands and options"
"$v" completion bash >valise.bash
mkdir zsh
"$v" completion zsh >zsh/_valise
bash -eu -c '
	source ./valise.bash
	function_name=$(complete -p valise | sed -n "s/.*-F \([^ ]*\).*/\1/p")
	COMP_WORDS=(valise rel) COMP_CWORD=1 COMP_LINE="valise rel" COMP_POINT=10
	"$function_name" valise rel valise
	printf "%s\n" "${COMPREPLY[@]}"' | grep -q '^release'

# zsh_completes LINE WANTED: what stands on the line of an interactive zsh after a TAB.
cat >complete.zsh <<'EOT'
zmodload zsh/zpty
zpty z 'PS1= zsh -f -i'
zpty -w z 'fpath=($PWD/zsh $fpath); autoload -U compinit; compinit -u -D; zle -C x complete-word _main_complete'
zpty -w z 'show() { print -r -- "<$BUFFER>"; BUFFER=; zle .accept-line }; zle -N show; bindkey "^I" complete-word "^X" show'
zpty -w z 'print re""ady'
zpty -r -m z out '*ready*'
zpty -n -w z "$1"$'\t\x18'
zpty -r -m z out '*<*>*'
print -r -- "${${out##*<}%%>*}"
zpty -d z
EOT
zsh_completes() {
	local got
	got=$(timeout 60 zsh -f complete.zsh "$1")
	[ "$got" = "$2" ] || {
		echo "zsh makes \"$got\" of \"$1\""
		exit 1
	}
}
zsh_completes 'valise rel' 'valise release '
zsh_completes 'valise release sh' 'valise release show '
zsh_completes 'valise -s x enrol new --no' 'valise -s x enrol new --no-qr '
zsh_completes 'valise publish --part' 'valise publish --partial '

echo "# no colours where they are not wanted"
! "$v" key list | grep -q "$(printf '\033')"
