# lib/system.sh - system disks: the tiny one, and the file system of both kinds.

# system_erofs DIR OUT: deterministic: one time, one UUID, names in order (mkfs.erofs sorts), no
# extended attributes but those of the packages.  Not compressed: deltas of plain blocks are
# several times smaller, the transport compresses, and reads need no work in the guest.  Ends of
# files have blocks of their own (noinline_data): between inodes they shift with every change near by,
# which makes deltas an eighth larger to save 7 % of zeros.
system_erofs() {
	rm -f "$2"
	PATH=$PATH:/usr/sbin:/sbin mkfs.erofs --quiet -d1 -Enoinline_data -T "$EPOCH" -U "$UUID" "${@:3}" "$2" "$1" > /dev/null ||
		die "mkfs.erofs failed"
	# Whole 4096-byte blocks, as the hash tree wants.
	truncate -s %4096 "$2"
}

# guest_files DIR: what every image has of deploy/images/guest.
guest_files() {
	local to=$1/usr/lib/valise
	install -d "$to/checks.d" "$to/apply.d"
	install -m 644 "$HERE/guest/lib.sh" "$HERE/guest/json.awk" "$to/"
	install -m 755 "$HERE"/guest/{preinit,config,health,control} "$to/"
	install -m 755 "$HERE"/guest/checks.d/* "$to/checks.d/"
	release_file "$1"
}

release_file() {
	cat > "$1/etc/valise-release" <<-EOF
	NAME=$NAME
	VERSION=$VERSION
	SECURITY_VERSION=$SECURITY
	EOF
}

# One kernel for all tiny images: tests that update from one to the next move little.
tiny() {
	local dir=$WORK/tree deb kernel
	mkdir "$WORK/$NAME"
	progress "reading the package index"
	archive_open bookworm
	progress "fetching packages"
	kernel=$(archive_kernel)
	archive_get "$kernel" busybox-static e2fsprogs libext2fs2 libcom-err2 libss2 libblkid1 libuuid1 \
		libc6 > "$WORK/debs"
	kernel_unpack "$(grep "/${kernel}_" "$WORK/debs")" "$WORK/kernel"
	progress "unpacking the kernel"
	kernel_vmlinux "$WORK/kernel/boot/vmlinuz-$KVER" "$WORK/$NAME/vmlinux"
	mkdir "$WORK/debtree" "$dir"
	while read -r deb; do
		case $deb in */linux-image-*) ;; *) dpkg-deb -x "$deb" "$WORK/debtree" ;; esac
	done < "$WORK/debs"
	BUSYBOX=$WORK/debtree/bin/busybox
	progress "making the initrd"
	kernel_initrd "$WORK/kernel" "$WORK/$NAME/initrd.cpio"
	progress "making the system disk"
	tiny_tree "$WORK/debtree" "$dir"
	system_erofs "$dir" "$WORK/$NAME/system.erofs" --all-root -x-1
	package_list > "$WORK/$NAME/packages.txt"
}

# tiny_tree FROM TO: busybox, the ext4 tools with the libraries they ask for, the guest scripts.
tiny_tree() {
	local from=$1 to=$2 tool lib a
	install -d "$to"/{bin,sbin,etc/init.d,etc/acpi/PWRF,lib64,lib,usr/lib,proc,sys,dev,run,tmp,home,root,var/log}
	install -m 755 "$from/bin/busybox" "$to/bin/busybox"
	for a in $("$to/bin/busybox" --list); do
		[ "$a" = busybox ] || [ "$a" = mke2fs ] || ln -s /bin/busybox "$to/bin/$a"
	done
	ln -s /bin/busybox "$to/sbin/init"
	ln -s /bin/busybox "$to/sbin/poweroff"
	for tool in mke2fs tune2fs e2fsck; do install -m 755 "$from/sbin/$tool" "$to/sbin/$tool"; done
	install -m 644 "$from/etc/mke2fs.conf" "$to/etc/mke2fs.conf"
	for lib in libext2fs.so.2 libcom_err.so.2 libblkid.so.1 libuuid.so.1 libe2p.so.2 libc.so.6; do
		a=$(find "$from/lib" "$from/usr/lib" -name $lib | head -n 1)
		[ -n "$a" ] || die "no $lib in the packages of the tiny image"
		install -m 644 "$(readlink -f "$a")" "$to/lib/$lib"
	done
	install -m 755 "$(readlink -f "$from/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")" "$to/lib64/ld-linux-x86-64.so.2"

	install -m 644 "$HERE/tiny/inittab" "$to/etc/inittab"
	install -m 755 "$HERE/tiny/rcS" "$to/etc/init.d/rcS"
	install -m 755 "$HERE/tiny/power-button" "$to/etc/acpi/PWRF/00000080"
	echo 'root:x:0:0:root:/root:/bin/sh' > "$to/etc/passwd"
	echo 'root:x:0:' > "$to/etc/group"
	guest_files "$to"
	install -m 755 "$HERE/tiny/30-system" "$to/usr/lib/valise/checks.d/30-system"

	case $NAME in
	tiny-v2) # something for a delta to do: more than a version number
		"$from/bin/busybox" seq 1 20000 > "$to/usr/lib/valise/new-in-this-release" ;;
	tiny-broken)
		printf '#!/bin/busybox sh\necho "waiting for the mail store"\nexit 75\n' > "$to/usr/lib/valise/checks.d/40-mail"
		chmod 755 "$to/usr/lib/valise/checks.d/40-mail" ;;
	tiny-failing)
		printf '#!/bin/busybox sh\necho "mail store has a newer schema"\nexit 1\n' > "$to/usr/lib/valise/checks.d/40-mail"
		chmod 755 "$to/usr/lib/valise/checks.d/40-mail" ;;
	tiny-panic)
		rm "$to/sbin/init" ;;
	esac
}


# phone NAME...: phones of the same packages, from one tree; the first is whole, each further one
# is what lib/phone-tree changes in it.  Leaves them in WORK/NAME.
phone() {
	local kernel mode args=() n space='unshare --mount --propagation private'
	need mmdebstrap
	# Where the root is no mount point (a chroot) the kernel refuses that.  Then the packages' mounts
	# go for mmdebstrap too, which only warns that it has none to take away.
	$space true 2> /dev/null || space=
	mode=root
	if [ "$(id -u)" != 0 ]; then
		mode=unshare
		need newuidmap uidmap
	fi
	progress "reading the package index"
	archive_open "$SUITES"
	kernel=$(archive_kernel)
	mapfile -t PACKAGES < <(grep -v '^#' "$HERE/phone/packages")
	progress "fetching packages"
	archive_get_closure "${PACKAGES[@]}" > "$WORK/debs"
	archive_get "$kernel" >> "$WORK/debs"

	progress "unpacking the kernel"
	kernel_unpack "$(grep "/${kernel}_" "$WORK/debs")" "$WORK/kernel"
	kernel_vmlinux "$WORK/kernel/boot/vmlinuz-$KVER" "$WORK/vmlinux"
	dpkg-deb --fsys-tarfile "$(grep '/busybox-static_' "$WORK/debs")" | tar -xO ./bin/busybox > "$WORK/busybox"
	chmod 755 "$WORK/busybox"
	BUSYBOX=$WORK/busybox
	kernel_modules "$WORK/kernel" "$HERE/phone/modules" "$WORK/modules"
	kernel_initrd "$WORK/kernel" "$WORK/initrd.cpio"

	progress "installing ${#PACKAGES[@]} packages and what they need"
	# The index and the packages are the checked ones at hand: nothing is fetched again.  Docs and
	# translations stay out (a phone shows neither), licences stay in.
	grep -v '/linux-image-' "$WORK/debs" | sed 's/.*/"&"/' | paste -sd' ' > "$WORK/deblist"
	for n in man info doc locale lintian bug; do args+=("--dpkgopt=path-exclude=/usr/share/$n/*"); done
	args+=('--dpkgopt=path-include=/usr/share/doc/*/copyright')
	export HERE WORK EPOCH UUID KVER VERSION SECURITY
	chmod 1777 "$WORK"
	env -u APT_CONFIG mmdebstrap --quiet --mode=$mode --variant=essential --format=null --architectures=amd64 \
		--include="$(IFS=,; echo "${PACKAGES[*]}")" \
		--dpkgopt=force-unsafe-io "${args[@]}" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--skip=update,download/empty,essential/unlink,cleanup,check/empty \
		--setup-hook='mkdir -p "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"' \
		--setup-hook="copy-in $(cat "$WORK/deblist") /var/cache/apt/archives" \
		--setup-hook="sync-in \"$APT/state/lists\" /var/lib/apt/lists" \
		--customize-hook="$space bash \"$HERE/lib/phone-tree\" \"\$1\" $*" \
		'' /dev/null "$APT/etc/sources.list" > "$WORK/mmdebstrap.log" 2>&1 ||
		{ tail -n 30 "$WORK/mmdebstrap.log" >&2; die "mmdebstrap failed: see its log above"; }
	for n; do
		mkdir -p "$WORK/$n"
		cp "$WORK/vmlinux" "$WORK/initrd.cpio" "$WORK/$n/"
		# By copying: as an ordinary user's, the file belongs to an uid of the name space.
		cp "$WORK/$n.erofs" "$WORK/$n/system.erofs"
		rm -f "$WORK/$n.erofs"
		package_list > "$WORK/$n/packages.txt"
	done
}

# What went in, a name and a version a line.
package_list() { sed 's|.*/||; s|_[a-z0-9]*\.deb$||; s|_| |; s|%3a|:|' "$WORK/debs" | sort; }
