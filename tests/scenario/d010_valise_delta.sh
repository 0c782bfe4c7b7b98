#!/bin/bash
# valise-delta as people use it: made, looked at, applied, killed, resumed, given nonsense.
. "$TOP/tests/support/lib.sh"
command -v jq >/dev/null || skip "jq is missing: deploy/install-packages check"
tool=$bin/valise-delta

noise() { # KEY BYTES: always the same
	openssl enc -aes-128-ctr -K "$1" -iv 00 -in /dev/zero 2>/dev/null | head -c "$2" || true
}

# fails STATUS TEXT COMMAND...: with this exit status and a line that says this.
fails() {
	local want=$1 text=$2 code=0
	shift 2
	"$@" >out.txt 2>err.txt || code=$?
	[ $code = "$want" ] || die "$* ends with $code, not $want: $(cat err.txt)"
	grep -q -- "$text" err.txt || die "$*: nothing about \"$text\": $(cat err.txt)"
	grep -q '^  hint: ' err.txt || die "$*: does not say what to do: $(cat err.txt)"
}

say "a pair of 24 MB: moved, inserted, something packed, something new"
noise 01 12000000 >old
for i in $(seq 20000); do echo "line $i of the old text"; done >text
cat text >>old
gzip -6 -n <text >>old
truncate -s 14000000 old
sed 's/line 7/LINE seven/' text >text2
{
	part old 1000000 9000000
	noise 02 300000
	part old 0 5000000
	cat text2
	gzip -6 -n <text2
	part old 3000000 9000000
	head -c 1000000 /dev/zero
} >new

"$tool" create -q -o json old new delta >made.json || die "create"
"$tool" info -o json delta >info.json || die "info"
cmp made.json info.json || die "create and info tell different things"
jq -e '.new_size > 24000000 and .delta_size < 400000 and .streams_new == 1
	and ([.spent[]] | add) > 300000' info.json >/dev/null || die "info: $(cat info.json)"
"$tool" info delta | has '^inserts  *30' || die "info as a table: $("$tool" info delta)"
"$tool" info -o json --old old delta >account.json || die "info --old"
jq -e '([.made[]] | add) == .delta_size and .made.packed > 290000 and (.encoders | length) == 1
	and (.encoders[0] | .streams == 1 and (.name | test("-6")) and .plain_bytes > 400000)
	and .made.gzip > 0 and .files == []' \
	account.json >/dev/null || die "info --old: $(cat account.json)"
"$tool" info --old old delta | has '^streams packed by' || die "info --old as a table"

say "what the bytes of an update are spent on, by file"
for fs in ext4 erofs; do
	command -v mke2fs >/dev/null && command -v mkfs.erofs >/dev/null || break
	rm -rf tree
	mkdir -p tree/usr/lib 'tree/a "b"'
	cp "$bin/valise-delta" tree/usr/lib/tool
	cp text 'tree/a "b"/text'
	noise 05 200000 >tree/usr/lib/data
	for side in 0 1; do
		if [ $fs = ext4 ]; then
			E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -F -t ext4 -d tree $fs.$side 16M
		else
			mkfs.erofs -T1700000000 $fs.$side tree >/dev/null
		fi
		noise 06 5000 | dd of=tree/usr/lib/data bs=1 seek=90000 conv=notrunc status=none
		sed -i 's/line 9/LINE ninety/' 'tree/a "b"/text'
	done
	"$tool" create -q $fs.0 $fs.1 $fs.delta >/dev/null || die "create for $fs"
	TMPDIR=$PWD "$tool" info -o json --old $fs.0 $fs.delta >$fs.json || die "info --old for $fs"
	jq -e '(.files[:2] | map(.path)) == ["/usr/lib/data", "/a \"b\"/text"] and .files_all >= 2
		and (.files[0].spent_bytes | . > 4900 and . < 5300) and ([.made[]] | add) == .delta_size
		and .made.packed > 4900 and .made.text > 10 and .made.inodes > 0' $fs.json >/dev/null ||
		die "$fs: $(cat $fs.json)"
	"$tool" info -f 1 --old $fs.0 $fs.delta >$fs.txt
	grep -q '^1 of [23] files' $fs.txt && grep -q ' /usr/lib/data$' $fs.txt && ! grep -q '/text$' $fs.txt ||
		die "$fs as a table: $(cat $fs.txt)"
done
fails 65 'old image' "$tool" info --old text delta
"$tool" apply -q old delta out || die "apply"
cmp new out || die "the output is another file"

say "the same for any number of threads, and by bench"
"$tool" create -q -t 1 old new delta1 >/dev/null
cmp delta delta1 || die "one thread makes another delta"
"$tool" create -q -t 99999999999 old new delta1 >/dev/null # taken for as many as are used
cmp delta delta1 || die "many threads make another delta"
TMPDIR=$PWD "$tool" bench -q -o json old new >bench.json || die "bench"
jq -e --slurpfile i info.json '.delta_size == $i[0].delta_size and .apply_kib > 0' bench.json \
	>/dev/null || die "bench: $(cat bench.json)"
ls valise-delta.* 2>/dev/null && die "bench leaves its file behind"

say "a signal takes a delta that is not finished along"
for signal in TERM HUP; do
	code=0
	until [ $code -gt 128 ]; do # it may have been finished before
		rm -f unfinished
		"$tool" create -q old new unfinished >/dev/null &
		wait_for 20 "the file" test -e unfinished
		kill -$signal $! 2>/dev/null || true
		wait $! || code=$?
	done
	[ ! -e unfinished ] || die "half a delta is left at $signal"
done

say "killed anywhere, what is there is right, and it goes on"
segment=$(jq .segment_bytes info.json)
rm -f out
kills=0
for ms in 1 2 3 5 8 11 15 20 26 33 41 50 60 80 100 130 170 220 280 350; do
	code=0
	timeout --foreground -s KILL "0.$(printf %03d $ms)" "$tool" apply -q --resume old delta out \
		2>kill.err || code=$?
	case $code in
	137) kills=$((kills + 1)) ;;
	0 | 124) ;; # 124: it ended by itself just then
	*) die "apply --resume ends with $code: $(cat kill.err)" ;;
	esac
	[ -e out ] || continue
	whole=$(($(stat -c %s out) / segment * segment))
	cmp -n $whole new out || die "wrong bytes after a kill at $ms ms"
	[ $code = 137 ] || cmp new out || die "a whole output differs"
	[ $((ms % 3)) != 0 ] || rm out # from the beginning again
done
[ $kills -gt 0 ] || die "it was never killed"
"$tool" apply -q --resume old delta out || die "resume"
cmp new out || die "resumed differently"

say "what is wrong in the output is made again"
printf 'x' | dd of=out bs=1 seek=$((segment + 5)) conv=notrunc status=none
cat old >>out
"$tool" apply -q --resume old delta out || die "resume over damage"
cmp new out || die "damage was kept"
"$tool" apply -q --resume old delta out || die "resume of a whole one"

say "with one hash for all of it the image is made for that first, which is told"
cp new same
printf 'x' | dd of=same bs=1 seek=5000000 conv=notrunc status=none
"$tool" create -q new same small >/dev/null || die "create"
"$tool" apply new small out 2>told || die "apply: $(cat told)"
cmp same out || die "the output is another file"
[ "$(cut -d, -f1 told)" = $'check: done\napply: done' ] || die "told: $(cat told)"
"$tool" apply old delta out 2>told || die "apply: $(cat told)"
[ "$(cut -d, -f1 told)" = 'apply: done' ] || die "told: $(cat told)"
cp new other
printf 'no' | dd of=other bs=1 seek=7000000 conv=notrunc status=none
"$tool" info --old new small 2>told >/dev/null || die "info: $(cat told)"
[ "$(cut -d, -f1 told)" = $'check: done\naccount: done' ] || die "told: $(cat told)"
"$tool" info -q --old new small 2>told >/dev/null
[ ! -s told ] || die "told quietly: $(cat told)"
fails 65 "another old image" "$tool" apply other small out
grep -q '^check: stopped' err.txt || die "$(cat err.txt)"

say "flipped bytes: an error or the exact output"
size=$(stat -c %s delta)
for i in 0 4 5 9 20 70 100 200 400 900 $((size / 3)) $((size / 2)) $((size - 30)); do
	cp delta bad
	printf '\377' | dd of=bad bs=1 seek=$i conv=notrunc status=none
	cmp -s delta bad && continue
	if "$tool" apply -q old bad out 2>err.txt; then
		cmp new out || die "byte $i flipped: wrong output"
	fi
done
for i in 999999 5000000 12000100; do
	cp old bad
	printf '\125\252\125' | dd of=bad bs=1 seek=$i conv=notrunc status=none
	if "$tool" apply -q bad delta out 2>err.txt; then
		cmp new out || die "old byte $i flipped: wrong output"
	else
		grep -q 'another old image' err.txt || die "old byte $i: $(cat err.txt)"
	fi
done

say "errors, each with what to do, and the output as it was"
"$tool" apply -q old delta out || die "apply again"
fails 66 nowhere "$tool" create nowhere new d
fails 66 nowhere "$tool" apply old nowhere out
fails 65 'old: not a delta' "$tool" apply old old out
for line in "-o json info old" "apply -o json old"; do
	if "$tool" $line 2>err.json; then die "$line"; fi
	jq -e '.code and .message and .hint' err.json >/dev/null || die "$line: $(cat err.json)"
done
fails 65 'old: not a delta' "$tool" info old
fails 65 'the old image has' "$tool" apply new delta out
fails 64 'name another file' "$tool" create old new old
fails 64 'name another file' "$tool" create old new ./new
fails 64 'name another file' "$tool" apply old delta old
fails 64 'name another file' "$tool" apply old delta delta
fails 64 'table or json' "$tool" create -o xml old new d
fails 64 'threads' "$tool" create -t many old new d
mkdir folder
fails 64 'folder is no file' "$tool" create folder new d
fails 64 'folder is no file' "$tool" create old folder d
fails 71 'folder: Is a directory' "$tool" create old new folder
[ ! -e d ] || die "a refused option leaves a file"
fails 64 'needs OLD NEW DELTA' "$tool" create old new
cp delta keep
printf x | dd of=keep bs=1 seek=3 conv=notrunc status=none
fails 69 'version' "$tool" apply old keep out
cmp -s new out || die "the output is gone before the delta was looked at"

say "pipes and devices are no images, hold nobody up, and are still there afterwards"
mkfifo pipe
ln -s pipe link
fails 65 'pipe is a pipe or socket' timeout 20 "$tool" create pipe new d
fails 65 'pipe is a pipe or socket' timeout 20 "$tool" create old pipe d
fails 65 'pipe is a pipe or socket' timeout 20 "$tool" apply old pipe d
fails 65 'pipe is a pipe or socket' timeout 20 "$tool" create old new pipe
fails 65 'pipe is a pipe or socket' timeout 20 "$tool" apply old delta pipe
fails 65 'link is a pipe or socket' timeout 20 "$tool" create old new link
fails 64 '/dev/stdin is no file' bash -c 'cat old | "$0" create -q /dev/stdin new d' "$tool"
[ -p pipe ] && [ -L link ] && [ ! -e d ] || die "$(ls -l)"
"$tool" create -q /dev/stdin new d <old >d.out || die "standard input, a file"
cmp -s d delta || die "another delta"

say "help, version, manual page, completion"
"$tool" --version | has '^valise-delta ' || die "--version"
for c in create apply info bench; do
	"$tool" $c --help | has "^usage: valise-delta $c" || die "help of $c"
	"$tool" completion bash | has "$c" || die "completion of $c"
	"$tool" --man | has "$c" || die "manual page of $c"
done
