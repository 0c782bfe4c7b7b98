# json.awk - reads one JSON text, strictly, and writes each member of the object at path `want`
# (names separated by /) to the file dir/<name>.  Members are strings, numbers or booleans; names
# are [A-Za-z0-9._-], at most 64; values have no control characters, since they end up in
# configuration files by line.  The rest of the text is checked and ignored.

function fail(why) { failed = 1; print why " (byte " pos ")" > "/dev/stderr"; exit 1 }
function space() { while (index(" \t\r\n", c = substr(text, pos, 1)) && c != "") pos++ }
function hex4(p,   i, d, n) {
	for (i = 0; i < 4; i++) {
		d = index("0123456789abcdef", tolower(substr(text, p + i, 1)))
		if (!d || p + i > length(text)) fail("bad \\u escape")
		n = n * 16 + d - 1
	}
	return n
}
function utf8(n) {
	if (n < 128) return sprintf("%c", n)
	if (n < 2048) return sprintf("%c%c", 192 + int(n / 64), 128 + n % 64)
	if (n < 65536) return sprintf("%c%c%c", 224 + int(n / 4096), 128 + int(n / 64) % 64, 128 + n % 64)
	return sprintf("%c%c%c%c", 240 + int(n / 262144), 128 + int(n / 4096) % 64, 128 + int(n / 64) % 64, 128 + n % 64)
}
# A string at pos; sets control when it holds an (escaped) control character.
function string(   s, e, n, low) {
	control = 0
	pos++
	for (;;) {
		if (!match(substr(text, pos), /^[^"\\]*/)) fail("broken string")
		s = s substr(text, pos, RLENGTH)
		if (substr(text, pos, RLENGTH) ~ /[\001-\037]/) fail("control character in a string")
		pos += RLENGTH
		e = substr(text, pos, 1)
		if (e == "\"") { pos++; return s }
		if (e == "") fail("string without an end")
		e = substr(text, pos + 1, 1)
		pos += 2
		if (index("\"\\/", e) && e != "") s = s e
		else if (index("bfnrt", e) && e != "") control = 1
		else if (e == "u") {
			n = hex4(pos)
			pos += 4
			if (n >= 55296 && n < 56320) {
				if (substr(text, pos, 2) != "\\u") fail("half a surrogate pair")
				low = hex4(pos + 2)
				if (low < 56320 || low > 57343) fail("half a surrogate pair")
				pos += 6
				n = 65536 + (n - 55296) * 1024 + low - 56320
			} else if (n >= 56320 && n < 57344) fail("half a surrogate pair")
			if (n < 32 || n == 127) control = 1
			else s = s utf8(n)
		} else fail("unknown escape")
	}
}
function put(name, value, file) {
	if (name !~ /^[A-Za-z0-9_][A-Za-z0-9._-]*$/ || length(name) > 64) fail("setting with an unusable name")
	if (name in seen) fail("setting " name " twice")
	if (++count > 1024) fail("more than 1024 settings")
	seen[name] = 1
	file = dir "/" name
	print value > file
	close(file)
}
# One value.  depth counts the objects and arrays around it; hit is how many names of `want` lead here.
function value(depth, hit, name,   first, s, key) {
	if (depth > 32) fail("nested too deeply")
	space()
	first = substr(text, pos, 1)
	if (first == "\"") {
		s = string()
		if (hit == goal + 1) {
			if (control) fail("setting " name " holds a control character")
			put(name, s)
		}
	} else if (first == "{") {
		if (hit == goal + 1) fail("setting " name " is not a plain value")
		pos++
		space()
		if (substr(text, pos, 1) == "}") { pos++; return }
		for (;;) {
			space()
			if (substr(text, pos, 1) != "\"") fail("name expected")
			key = string()
			if (control) fail("control character in a name")
			space()
			if (substr(text, pos++, 1) != ":") fail("':' expected")
			# On the wanted path, and every step of it so far fitted?
			value(depth + 1, hit == depth && (hit == goal || path[hit + 1] == key) ? hit + 1 : -1, key)
			space()
			first = substr(text, pos++, 1)
			if (first == "}") return
			if (first != ",") fail("',' or '}' expected")
		}
	} else if (first == "[") {
		if (hit == goal + 1) fail("setting " name " is not a plain value")
		pos++
		space()
		if (substr(text, pos, 1) == "]") { pos++; return }
		for (;;) {
			value(depth + 1, -1, "")
			space()
			first = substr(text, pos++, 1)
			if (first == "]") return
			if (first != ",") fail("',' or ']' expected")
		}
	} else if (match(substr(text, pos, 64), /^(true|false|null|-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?)/)) {
		s = substr(text, pos, RLENGTH)
		pos += RLENGTH
		if (hit == goal + 1 && s != "null") put(name, s)
	} else
		fail(first == "" ? "ends too early" : "value expected")
}
BEGIN { goal = split(want, path, "/") }
{ text = text $0 "\n" }
END {
	if (failed) exit 1
	pos = 1
	value(0, 0, "")
	space()
	if (pos <= length(text)) fail("something after the end")
}
