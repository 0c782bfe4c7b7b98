# Lists the targets that carry a "##" comment, under the "##@" headings they stand below.
/^##@ / { printf "\n%s\n", substr($0, 5) }
/^[a-z][a-zA-Z0-9_.-]*:.*## / {
	target = $0
	sub(/:.*/, "", target)
	sub(/.*## /, "")
	printf "  make %-22s %s\n", target, $0
}
