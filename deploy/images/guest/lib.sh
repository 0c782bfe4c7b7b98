# guest/lib.sh - helpers shared by the guest scripts, sourced, POSIX sh under busybox.
# Everything the guest learns about its boot stands below /run/valise:
#   meta/<key>       one file per line of meta-data, value only
#   settings/<key>   one file per setting of the policy, value only
#   status/<what>    "ok ..." or the reason why not, one line

VALISE_RUN=/run/valise

# status WHAT TEXT: remember how a step of the boot went, for the health reporter.
status() {
	printf '%s\n' "$2" > "$VALISE_RUN/status/$1"
	case $2 in ok*) ;; *) echo "valise: $1: $2" > /dev/kmsg ;; esac 2> /dev/null
	return 0
}

# disk_by_serial NAME [TENTHS]: the device node of the virtio disk with this serial, waited for.
# Serials, not vda/vdb: the order of disks is the hypervisor's and may change.
disk_by_serial() {
	_n=${2:-50}
	while :; do
		for _s in /sys/block/vd*/serial; do
			[ -r "$_s" ] || continue
			if [ "$(cat "$_s")" = "$1" ]; then
				_s=${_s%/serial}
				echo "/dev/${_s##*/}"
				return 0
			fi
		done
		[ $((_n -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

# port_by_name NAME [TENTHS]: the node of the virtio-serial port.  udev would make a link below
# /dev/virtio-ports, but not every image has udev, and not this early.
port_by_name() {
	_n=${2:-50}
	while :; do
		for _p in /sys/class/virtio-ports/*/name; do
			[ -r "$_p" ] || continue
			if [ "$(cat "$_p")" = "$1" ]; then
				_p=${_p%/name}
				echo "/dev/${_p##*/}"
				return 0
			fi
		done
		[ $((_n -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}
