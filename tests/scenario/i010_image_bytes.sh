#!/bin/bash
# The same packages give the same image, byte for byte.
set -eu
top=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for t in mkfs.erofs:erofs-utils cpio:cpio lz4:lz4; do
	PATH=$PATH:/usr/sbin command -v "${t%:*}" >/dev/null || { echo "${t%:*} is missing: apt install ${t#*:}"; exit 77; }
done
apt-get indextargets --format '$(RELEASE)' 'Created-By: Packages' 2>/dev/null | grep -qx bookworm ||
	{ echo "apt has no Debian 12 sources on this machine"; exit 77; }

"$top/deploy/images/build" tiny "$dir/a"
# Other times, another folder, another umask: none of it may show.
sleep 1
(umask 077 && TMPDIR=$dir TZ=Asia/Tokyo "$top/deploy/images/build" tiny "$dir/b")
diff -r "$dir/a" "$dir/b" || { echo "two builds of tiny differ"; exit 1; }

for f in release.in.json vmlinux initrd.cpio system.erofs packages.txt; do
	[ -s "$dir/a/$f" ] || { echo "the build left no $f"; exit 1; }
done
[ $(($(stat -c %s "$dir/a/system.erofs") % 4096)) = 0 ] || { echo "system.erofs is not whole blocks"; exit 1; }
! grep -rqF "$dir" "$dir/a" || { echo "the image names the folder it was built in"; exit 1; }

# A name that does not exist is an error that says what there is, and leaves nothing.
if out=$("$top/deploy/images/build" nonsense "$dir/c" 2>&1); then echo "built 'nonsense'"; exit 1; fi
case $out in *tiny-v2*) ;; *) echo "unhelpful: $out"; exit 1 ;; esac
[ ! -e "$dir/c/release.in.json" ]
