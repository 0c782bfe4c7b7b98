#!/bin/bash
# The KVM probe says yes where a stock kernel would run: inside an emulated machine whose processor
# has SVM.  (Where it says no is the business of the host that the tests run on.)
set -eu
top=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${BUILD:-$top/build/release}/bin
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for t in cpio:cpio busybox:busybox-static qemu-system-x86_64:qemu-system-x86; do
	command -v "${t%:*}" >/dev/null || { echo "${t%:*} is missing: apt install ${t#*:}"; exit 77; }
done
# The kernel package comes with the tiny image, into the cache of downloads.
"$top/deploy/images/build" tiny "$dir/tiny" || { echo "the tiny image cannot be built here"; exit 77; }
deb=$(find "${XDG_CACHE_HOME:-$HOME/.cache}/valise/images" -name 'linux-image-*-cloud-amd64_*.deb' | sort | tail -n 1)
[ -n "$deb" ] || { echo "no kernel package in the cache"; exit 1; }

root=$dir/root
mkdir -p "$root"/{bin,dev,proc,lib,lib64} "$dir/kernel"
dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/kernel" --exclude=./usr/share
for m in irqbypass kvm kvm-amd; do
	find "$dir/kernel" -name "$m.ko" -exec cp {} "$root/" \;
done
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$bin/valise-vmm" "$root/bin/"
ldd "$bin/valise-vmm" | grep -o '/[^ ]*' | while read -r lib; do
	mkdir -p "$root/${lib%/*}"
	cp -L "$lib" "$root/$lib"
done
cat >"$root/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for m in irqbypass kvm kvm-amd; do /bin/busybox insmod /$m.ko; done
/bin/valise-vmm --probe
echo "probe exit $?"
/bin/busybox poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc) >"$dir/initrd"

timeout 400 qemu-system-x86_64 -accel tcg -cpu EPYC,+svm -m 512 -nodefaults -display none -no-reboot \
	-serial stdio -kernel "$dir"/kernel/boot/vmlinuz-* -initrd "$dir/initrd" \
	-append "console=ttyS0 quiet panic=-1" </dev/null >"$dir/said" 2>/dev/null || true
grep -q 'KVM runs a stock kernel here' "$dir/said" && grep -q 'probe exit 0' "$dir/said" || {
	cat "$dir/said"
	exit 1
}

# Here, outside: whatever it says, it says it quickly, with a reason, and with a telling exit status.
rc=0
timeout 60 "$bin/valise-vmm" --probe >"$dir/here" 2>&1 || rc=$?
case $rc in
0) grep -q 'KVM runs' "$dir/here" ;;
66 | 69 | 71 | 77) grep -q 'KVM cannot be used: .' "$dir/here" && grep -q 'hint: phones run under QEMU' "$dir/here" ;;
*) cat "$dir/here"; exit 1 ;;
esac
