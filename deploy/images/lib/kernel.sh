# lib/kernel.sh - from a Debian kernel package to `vmlinux` and the initrd.

# kernel_unpack DEB DIR: sets KVER; the package's tree is in DIR afterwards, docs left out.
kernel_unpack() {
	mkdir -p "$2"
	dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --exclude=./usr/share
	KVER=$(ls "$2/lib/modules")
}

# kernel_vmlinux BZIMAGE OUT: the ELF file inside a bzImage, which a hypervisor can load directly:
# unpacking under emulation is slow, and deltas of packed kernels are as large as the kernel.
# Documentation/x86/boot.rst: setup_sects at 0x1f1, payload_offset and _length at 0x248.
kernel_vmlinux() {
	local sects off len tool
	sects=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1")
	off=$(od -An -tu4 -j $((0x248)) -N 4 "$1")
	len=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
	# The last four bytes are the unpacked size, not part of the stream.
	dd if="$1" of="$2.packed" bs=1M iflag=skip_bytes,count_bytes status=none \
		skip=$(((sects + 1) * 512 + off)) count=$((len - 4))
	case $(od -An -tx1 -N 4 "$2.packed" | tr -d ' ') in
	02214c18) tool=lz4 ;;
	28b52ffd) tool=zstd ;;
	fd377a58) tool=xz ;;
	1f8b*) tool=gzip ;;
	*) die "the kernel in ${1##*/} is packed in a way this script does not know" ;;
	esac
	need $tool
	$tool -dc < "$2.packed" > "$2"
	rm "$2.packed"
	[ "$(od -An -tx1 -N 4 "$2")" = ' 7f 45 4c 46' ] || die "no ELF kernel in ${1##*/}"
}

# kernel_module_order TREE LIST: the modules named in LIST (* stands for anything) and all they need,
# as paths below lib/modules/KVER, each after those it depends on.
kernel_module_order() {
	"$BUSYBOX" depmod -n -b "$1" "$KVER" 2> /dev/null | sed -n '/\.ko:/p' | LC_ALL=C sort |
		awk -v list="$2" '
		{
			file = $1; sub(/:$/, "", file)
			name = file; sub(/.*\//, "", name); sub(/\.ko$/, "", name)
			names[++count] = name
			path[name] = file
			for (i = 2; i <= NF; i++) need[file] = need[file] " " $i
		}
		function load(file,   n, i, part) {
			if (file in done) return
			done[file] = 1
			n = split(need[file], part, " ")
			for (i = 1; i <= n; i++) load(part[i])
			print file
		}
		END {
			while ((getline want < list) > 0) {
				if (want == "" || want ~ /^#/) continue
				gsub(/\*/, ".*", want)
				for (n = 1; n <= count; n++)
					if (names[n] ~ ("^" want "$")) load(path[names[n]])
			}
		}'
}

# kernel_initrd TREE OUT: BUSYBOX, our init and the modules, as an uncompressed cpio: it is a few
# megabytes, unpacking it costs the guest time, and uncompressed is what deltas like.
kernel_initrd() {
	local dir=$WORK/initrd ko
	mkdir -p "$dir"/{bin,dev,proc,sys,sysroot,modules}
	cp "$BUSYBOX" "$dir/bin/busybox"
	install -m 755 "$HERE/guest/initrd-init" "$dir/init"
	install -m 644 "$HERE/guest/lib.sh" "$dir/lib.sh"
	kernel_module_order "$1" "$HERE/initrd.modules" > "$WORK/initrd.order"
	[ -s "$WORK/initrd.order" ] || die "found no modules in the kernel package"
	while read -r ko; do
		cp "$1/lib/modules/$KVER/$ko" "$dir/modules/"
		echo "${ko##*/}"
	done < "$WORK/initrd.order" > "$dir/modules.list"
	chmod -R u=rwX,go=rX "$dir"
	find "$dir" -exec touch -h -d "@$EPOCH" {} +
	(cd "$dir" && find . -mindepth 1 | LC_ALL=C sort |
		cpio --quiet -o -H newc --reproducible -R 0:0) > "$2"
	rm -r "$dir"
}

# kernel_modules TREE LIST TO: lib/modules/KVER with the modules of LIST only; depmod is still to run.
kernel_modules() {
	local ko from=$1/lib/modules/$KVER to=$3/$KVER
	kernel_module_order "$1" "$2" > "$WORK/module.order"
	mkdir -p "$to"
	cp "$from"/modules.{builtin,builtin.modinfo,order} "$to/"
	while read -r ko; do
		mkdir -p "$to/${ko%/*}"
		cp "$from/$ko" "$to/$ko"
	done < "$WORK/module.order"
}
