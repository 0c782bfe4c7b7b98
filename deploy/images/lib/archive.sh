# lib/archive.sh - Debian packages for the images, from the archives this machine's own apt uses.
#
# An apt of our own below the cache directory (lists, configuration, an empty dpkg status) so that
# neither the machine's packages nor its pins get into an image.  Downloaded packages are kept in
# CACHE/archives and checked against the signed index each time they are used.

# archive_sources SUITES: apt lines for these suites, e.g. "bookworm bookworm-security".
archive_sources() {
	local suites=" $1 " uri suite component lines=
	[ -r "$KEYRING" ] ||
		die "no keyring $KEYRING: apt install debian-archive-keyring, or name another with --keyring"
	while IFS='|' read -r uri suite component; do
		case $suites in *" $suite "*) lines+="deb [signed-by=$KEYRING] $uri $suite $component"$'\n' ;; esac
	done < <(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
		'Created-By: Packages' 'Architecture: amd64' | sort -u | grep '|main$')
	for suite in $1; do
		case $lines in *" $suite "*) ;; *)
			die "this machine's apt sources have no suite '$suite': the images are Debian 12; add it to /etc/apt/sources.list.d, or run this on Debian 12" ;;
		esac
	done
	printf '%s' "$lines"
}

# archive_open SUITES: make the private apt for these suites ready; sets APT, its folder.  The index
# is refreshed below CACHE by one build at a time; each works on a snapshot of its own in WORK, so
# that one build sees one state of the archive.
archive_open() {
	local dir=$CACHE/apt-${1// /+}
	mkdir -p "$CACHE/archives"
	archive_layout "$dir"
	APT=$WORK/apt
	archive_layout "$APT"
	exec 7> "$dir/.lock"
	flock 7
	archive_sources "$1" > "$dir/etc/sources.list"
	# Offline, an index that is already here will do.
	APT_CONFIG=$dir/apt.conf apt-get -qq update >&2 ||
		{ ls "$dir"/state/lists/*_Packages* > /dev/null 2>&1 && note "cannot refresh the package index; using the one at hand"; } ||
		die "cannot read the package index: see 'apt-get update' above"
	rm -r "$APT/state/lists"
	cp -al "$dir/state/lists" "$APT/state/" 2> /dev/null || cp -a "$dir/state/lists" "$APT/state/"
	cp "$dir/etc/sources.list" "$APT/etc/"
	exec 7>&-
	export APT_CONFIG=$APT/apt.conf
}

# archive_layout DIR: an apt that knows of nothing outside DIR.  Its archives folder stays empty:
# --print-uris leaves out what it finds there.
archive_layout() {
	mkdir -p "$1"/{etc/parts,state/lists/partial,cache/archives/partial}
	: > "$1/state/status"
	cat > "$1/apt.conf" <<-EOF
		Dir::State "$1/state";
		Dir::State::status "$1/state/status";
		Dir::Cache "$1/cache";
		Dir::Etc::sourcelist "$1/etc/sources.list";
		Dir::Etc::sourceparts "$1/etc/parts";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "$1/etc/parts";
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Install-Recommends "false";
		Acquire::Languages "none";
		Acquire::ForceHash "SHA256";
		APT::Sandbox::User "";
		Debug::NoLocking "true";
	EOF
}

# archive_get PACKAGE...: brings these packages (not their dependencies) into the cache and prints
# their files.  PACKAGE may be name=version.
archive_get() { archive_fetch "$(cd / && apt-get -qq --print-uris download "$@")"; }

# archive_get_closure PACKAGE...: the same, with everything needed to install them from nothing.
archive_get_closure() {
	archive_fetch "$(apt-get -qq -y --print-uris install "$@" '?essential')"
}

# Lines of apt's --print-uris ('URI' file size SHA256:hash) in $1.  A file whose hash differs is
# fetched anew once; apt itself checks only the size of what it finds in its cache.
archive_fetch() {
	local uri file size hash try missing spec
	[ -n "$1" ] || die "apt does not find the packages: see its message above"
	exec 8> "$CACHE/archives/.lock"
	flock 8
	for try in 1 2; do
		while read -r uri file size hash; do
			case $hash in SHA256:*) ;; *) die "no SHA-256 for $file in the package index" ;; esac
			printf '%s  %s\n' "${hash#SHA256:}" "$CACHE/archives/${file##*/}"
		done <<< "$1" > "$WORK/sums"
		missing=()
		while IFS=: read -r file _; do
			rm -f "$file"
			spec=${file##*/}
			spec=${spec%_*.deb}
			missing+=("${spec%%_*}=$(sed 's/%3a/:/g; s/%2b/+/g; s/%7e/~/g' <<< "${spec#*_}")")
		done < <(sha256sum --quiet -c "$WORK/sums" 2> /dev/null | grep FAILED || :)
		[ ${#missing[@]} -gt 0 ] || break
		[ $try = 1 ] || die "downloaded packages differ from the signed index: ${missing[*]}"
		(cd "$CACHE/archives" && apt-get -qq download "${missing[@]}" >&2) ||
			die "cannot download packages: see apt's message above"
	done
	flock -u 8
	while read -r uri file size hash; do echo "$CACHE/archives/${file##*/}"; done <<< "$1"
}

# archive_kernel: the name of the newest kernel package of the suites at hand.
archive_kernel() {
	apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p'
}
