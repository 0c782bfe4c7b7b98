#!/bin/bash
# Parts of two releases, each signed, in every mixture: of metadata, and of what they name.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0
for v in 1.1 1.2; do
	phone $v good
	s=$(version_of snapshot) r=$(version_of releases.acme)
	image_file timestamp.json >"$e/timestamp.$v"
	image_file "$s.snapshot.json" >"$e/snapshot.$v"
	image_file "$r.releases.acme.json" >"$e/releases.$v"
	image_file "targets/releases/acme/$v/$(jq -r ".signed.targets[\"releases/acme/$v/release.json\"].hashes.sha256" "$e/releases.$v").release.json" >"$e/release.$v"
done
# What an honest handset has that was away while both came.
cp -r handset handset.before

say "the director wants one, the image repository is a mixture of the two: all 16"
taken=0
for wanted in 1.1 1.2; do
	roll_out $wanted
	for mix in 111 112 121 122 211 212 221 222; do
		rm -rf handset && cp -r handset.before handset
		t=1.${mix:0:1} s=1.${mix:1:1} r=1.${mix:2:1}
		rules "GET,/tuf/image/timestamp.json file timestamp.$t" "GET,/tuf/image/*.snapshot.json file snapshot.$s" \
			"GET,/tuf/image/*.releases.acme.json file releases.$r"
		# Only what was signed together counts together; and 1.1 is also in the metadata of 1.2.
		if [ $mix = 222 ] || [ $mix$wanted = 1111.1 ]; then
			once 0
			grep -o 'to=confirmed release="[^"]*"' agent.log | tail -n 1 | has "acme/$wanted" || die "$mix: $wanted is not confirmed"
			taken=$((taken + 1))
		else
			refused '(65|76)' 'image repository|acme/1.2/release.json'
		fi
	done
done
[ $taken = 3 ] || die "$taken of 16 were taken"

say "parts of one release under the names of the other: manifest, kernel, system, tree"
rm -rf handset && cp -r handset.before handset
objects() {
	jq -r '.components[] | .object.sha256, (select(.tree.size > 0) | .tree.sha256)' "$e/release.$1"
}
roll_out 1.2
manifest=$(jq -r '.signed.targets["releases/acme/1.2/release.json"].hashes.sha256' "$e/releases.1.2")
rules "GET,/objects/$manifest file release.1.1"
refused 65 'acme/1.2: '
mapfile -t old < <(objects 1.1)
mapfile -t new < <(objects 1.2)
[ ${#old[@]} = ${#new[@]} ] && [ ${#old[@]} -ge 2 ] || die "objects: ${old[*]} and ${new[*]}"
for i in "${!new[@]}"; do
	[ "${old[i]}" != "${new[i]}" ] || continue
	wants 200 GET "/objects/${old[i]}"
	cp "$body" "$e/part"
	rules "GET,/objects/${new[i]} file part"
	refused 65 'stage error=corrupt'
	says_what_to_do
done
# The two failures above have counted.
rules
roll_out 1.2
once 0
runs 1.2
updates_still 1.3
only_ran 1.0 1.1 1.2 1.3
