# tests/support/systemd.sh - for scenarios: `. "$TOP/tests/support/systemd.sh"`, after lib.sh.
#
# A systemd as process 1 of its own: namespaces of every kind, a cgroup below ours, and this machine's
# root with a tmpfs over it for what is written.  None of the machine's own services is in it, and no
# setting of its kernel can be changed from it.  All of it is gone with the process systemd_boot starts.
# shellcheck shell=bash disable=SC2034

export cgroup=valise-test-$$

# Before a command: it sees all of this machine's cgroups (version 2) at $TMPDIR/cgroups.
# shellcheck disable=SC2016,SC2089,SC2090
with_cgroups=(unshare --mount --propagation private
	bash -euc 'mkdir -p "$TMPDIR/cgroups" && mount -t cgroup2 cgroup2 "$TMPDIR/cgroups" && exec "$@"' -)

# The part that prepares: in a mount namespace of its own.  $1: what is installed over the root.
# shellcheck disable=SC2016,SC2089,SC2090
systemd_prepare='
own=$(sed -n "s/^0:://p" /proc/self/cgroup)
mkdir "$TMPDIR/cgroups$own/$cgroup"
echo $$ >"$TMPDIR/cgroups$own/$cgroup/cgroup.procs"
exec unshare --cgroup --pid --ipc --uts --net --mount --fork --kill-child bash -euc "$systemd_enter" - "$1"'

# shellcheck disable=SC2016,SC2089,SC2090
export systemd_enter='
mkdir -p "$TMPDIR/over"
mount -t tmpfs -o mode=755 over "$TMPDIR/over"
mkdir "$TMPDIR"/over/{upper,work,root}
cd "$TMPDIR/over/root"
mount -t overlay -o "lowerdir=/,upperdir=$TMPDIR/over/upper,workdir=$TMPDIR/over/work" overlay .
cd "$TMPDIR/over/root"
rm -rf etc/valise var/lib/valised var/lib/valise-agent
sed -i "/^valise/d" etc/passwd etc/group etc/shadow etc/gshadow
cp -a --no-preserve=ownership "$1/." .
mkdir -p srv/share
mount --bind "$TMPDIR/share" srv/share
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do
	: >dev/$name
	mount --bind /dev/$name dev/$name
done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
mount -t tmpfs -o mode=755 systemd etc/systemd
mkdir -p etc/systemd/system run/old
for unit in timers.target systemd-modules-load.service systemd-journal-flush.service \
	sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
	dev-hugepages.mount systemd-journald-audit.socket systemd-remount-fs.service; do
	ln -s /dev/null etc/systemd/system/$unit
done
ip link set lo up
pivot_root . run/old
exec chroot . /bin/sh -c "umount -l /run/old && rmdir /run/old && exec env -i container=valise-test \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
	/lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=no"'

# systemd_boot DIR: with the files of DIR (as `make install DESTDIR=` leaves them) over this machine's.
# $TMPDIR/share is /srv/share in there, $TMPDIR/journal.log is what its journal gets.
systemd_boot() {
	local what
	[ "$(id -u)" = 0 ] || skip "namespaces with a systemd in them need root"
	[ -x /lib/systemd/systemd ] || skip "systemd is missing: apt install systemd"
	# shellcheck disable=SC2016,SC2089,SC2090
	what=$("${with_cgroups[@]}" unshare --cgroup --pid --ipc --uts --net --mount --fork bash -euc '
		mount -t tmpfs probe "$TMPDIR/cgroups" && mkdir "$TMPDIR"/cgroups/{upper,work,root} && cd "$TMPDIR/cgroups" &&
		mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root' 2>&1) ||
		skip "no systemd of its own can run here: $what"
	mkdir -p "$TMPDIR/share"
	"${with_cgroups[@]}" bash -euc "$systemd_prepare" - "$1" >systemd.log 2>&1 </dev/null &
	launcher=$!
	trap systemd_end EXIT
	wait_for 30 "systemd" is_up
	inside journalctl --follow --no-tail --output=short-monotonic >journal.log 2>&1 &
	started+=("$!")
}
is_up() {
	kill -0 "$launcher" || die "systemd: no start"
	read -r init <"/proc/$launcher/task/$launcher/children" || [ -n "$init" ] || return
	case $(inside systemctl is-system-running) in running | degraded) ;; *) return 1 ;; esac
}

# The processes end with process 1; what remains are empty cgroups.
systemd_end() {
	kill -KILL "$launcher" 2>/dev/null || true
	wait_for 20 "systemd's end" is_gone "$init"
	end_all
	# shellcheck disable=SC2016,SC2089,SC2090
	"${with_cgroups[@]}" bash -c 'find "$TMPDIR/cgroups" -depth -type d -path "*/$cgroup*" -exec rmdir {} +'
}

# inside COMMAND...: in there, as root.
inside() {
	nsenter --target "$init" --mount --pid --cgroup --ipc --uts --net --root --wd \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}
