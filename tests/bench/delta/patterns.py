#!/usr/bin/python3
"""Pairs that are awkward for a delta, for run.sh: DIR/NAME/{old,new}.

    patterns.py DIR [NAME...]      all without names; keeps what is there already

Made from this machine's own files (libcrypto, Python and Perl as "program", Python's library as text) and from
random.Random(7), so the same files on the same machine.  Edits are regular (a byte in every 64), blocks go elsewhere,
tables of text and of records get columns, words become longer, and what is new repeats.
"""

import json
import os
import random
import sqlite3
import struct
import sys
import tempfile

MIB = 1 << 20
PROGRAM = ["/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/usr/bin/python3.11", "/usr/bin/perl"]
LIBRARY = "/usr/lib/python3.11"
SOURCES = 9 * MIB  # of the library's text, whole files


def read(path):
    with open(path, "rb") as f:
        return f.read()


def program(n):
    return b"".join(read(path) for path in PROGRAM)[:n]


def noise(n, seed=7):
    return random.Random(seed).randbytes(n)


def blocks(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


def shuffled(data, size, seed=7):
    pieces = blocks(data, size)
    random.Random(seed).shuffle(pieces)
    return b"".join(pieces)


def sources():
    """The library's files in the order of their names, as (name, bytes)."""
    names = []
    for folder, folders, files in os.walk(LIBRARY):
        names += [os.path.join(folder, f) for f in files if f.endswith(".py")]
    size = 0
    for name in sorted(names):
        data = read(name)
        if size + len(data) <= SOURCES:
            size += len(data)
            yield name, data


def text():
    return b"".join(data for _, data in sources())


def replaced(data, word, by):
    return data, data.replace(word, by)


def after_every(data, size, byte):
    """byte: what comes behind each block."""
    return data, b"".join(block + byte() for block in blocks(data, size))


# ---- bytes ----


def shuffle_4k():
    data = program(8 * MIB)
    return data, shuffled(data, 4096)


def shuffle_512():
    data = program(8 * MIB)
    return data, shuffled(data, 512)


def noise_shuffle_64():
    data = noise(2 * MIB)
    return data, shuffled(data, 64)


def noise_drop_64():
    data = noise(4 * MIB)
    return data, b"".join(block[:63] for block in blocks(data, 64))


def noise_interleave():
    data = noise(2 * MIB)
    a, b = blocks(data[:MIB], 256), blocks(data[MIB:], 256)
    return data, b"".join(x + y for x, y in zip(a, b))


def noise_rewritten():
    """16 of each 20 KiB are new."""
    data = bytearray(noise(8 * MIB))
    fresh = random.Random(8)
    for at in range(0, len(data) - 16384, 20480):
        data[at : at + 16384] = fresh.randbytes(16384)
    return noise(8 * MIB), bytes(data)


def line_feeds():
    return after_every(program(4 * MIB), 64, lambda: b"\n")


def random_bytes():
    chance = random.Random(7)
    return after_every(program(4 * MIB), 64, lambda: chance.randbytes(1))


def plus_one():
    data = program(4 * MIB)
    return data, bytes((b + 1) & 255 for b in data)


def inserted_words():
    """Four bytes at 20,000 places: what a linker does to a program with another compiler's prologue."""
    chance, data = random.Random(7), program(8 * MIB)
    places = sorted(chance.sample(range(len(data)), 20000))
    new = [data[a:b] + b"\x90\x90\x90\x90" for a, b in zip([0] + places, places)]
    return data, b"".join(new) + data[places[-1] :]


def reordered():
    """A concatenation of 256 pieces of all lengths, in another order."""
    chance, data = random.Random(7), program(8 * MIB)
    places = [0] + sorted(chance.sample(range(len(data)), 255)) + [len(data)]
    parts = [data[a:b] for a, b in zip(places, places[1:])]
    chance.shuffle(parts)
    return data, b"".join(parts)


def deduplicated():
    """An archive that stores each block of 8 KiB once and lists them, of which every tenth went and came."""
    chance = random.Random(7)
    pieces = blocks(program(8 * MIB) + text()[: 4 * MIB], 8192)
    old = [b for b in pieces if chance.random() < 0.9]
    new = [b for b in pieces if chance.random() < 0.9]
    return b"".join(old), b"".join(new)


def repeated_news():
    """6 MiB that the old file lacks, twice."""
    data = (program(3 * MIB) + text())[: 6 * MIB]
    return noise(MIB), data + data


def from_nothing():
    return noise(4096), program(8 * MIB)


def tiny():
    data = program(4000)
    return data, data[:2000] + bytes([data[2000] ^ 1]) + data[2001:]


# ---- text ----


def renamed():
    return replaced(text(), b"self", b"this")


def renamed_longer():
    return replaced(text(), b"self", b"itself")


def reindented():
    return replaced(text(), b"    ", b"\t")


def carriage_returns():
    return replaced(text(), b"\n", b"\r\n")


def rows(chance, n):
    for i in range(n):
        yield [
            str(100000 + i),
            "%s%d" % (chance.choice(["anna", "bert", "carla", "dieter", "emil"]), chance.randrange(5000)),
            "%04d-%02d-%02d" % (chance.randrange(2015, 2025), chance.randrange(1, 13), chance.randrange(1, 29)),
            "%.2f" % (chance.random() * 10000),
            chance.choice(["open", "closed", "waiting"]),
            "%08x" % chance.getrandbits(32),
        ]


def lines(table, between=","):
    return "".join(between.join(row) + "\n" for row in table).encode()


def csv_changed():
    chance = random.Random(7)
    table = list(rows(chance, 100000))
    new = []
    for i, row in enumerate(table):
        if chance.random() < 0.02:
            continue
        if chance.random() < 0.05:
            row = row[:4] + [chance.choice(["open", "closed", "waiting"])] + row[5:]
        new.append(row)
        if chance.random() < 0.02:
            new += rows(chance, 1)
    return lines(table), lines(new)


def csv_sorted():
    table = list(rows(random.Random(7), 100000))
    return lines(table), lines(sorted(table, key=lambda row: row[2]))


def csv_column():
    """A column of few values among the others."""
    chance = random.Random(7)
    table = list(rows(chance, 100000))
    return lines(table), lines(row[:3] + [chance.choice(["EUR", "USD"])] + row[3:] for row in table)


def csv_column_same():
    """A column that is the same in every row."""
    table = list(rows(random.Random(7), 100000))
    return lines(table), lines(row[:3] + ["EUR"] + row[3:] for row in table)


def csv_column_removed():
    table = list(rows(random.Random(7), 100000))
    return lines(table), lines(row[:3] + row[4:] for row in table)


def json_changed():
    chance = random.Random(7)
    names = ["id", "name", "date", "sum", "state", "key"]
    table = [dict(zip(names, row)) for row in rows(chance, 50000)]
    old = json.dumps(table, indent=1)
    for row in table:
        if chance.random() < 0.2:
            row["sum"] = "%.2f" % (chance.random() * 10000)
    return old.encode(), json.dumps(table, indent=1).encode()


def log_rotated():
    chance = random.Random(7)
    entries, at = [], 1700000000.0
    for i in range(120000):
        at += chance.random()
        entries.append("%.3f host%d app[%d]: %s took %d ms\n" % (
            at, chance.randrange(20), chance.randrange(900, 32000),
            chance.choice(["GET /a", "PUT /b", "login", "sync", "backup"]), chance.randrange(2000)))
    third = len(entries) // 3
    return "".join(entries[: 2 * third]).encode(), "".join(entries[third:]).encode()


# ---- records ----


def records(chance, n):
    return [[i, chance.getrandbits(32), chance.getrandbits(16), chance.randrange(100)] for i in range(n)]


def records_widened():
    """A field of 2 bytes has 4."""
    table = records(random.Random(7), 200000)
    return (b"".join(struct.pack("<IIHH", *row) for row in table),
            b"".join(struct.pack("<IIIH", *row) for row in table))


def records_field():
    """A field more at the end of each, of few values."""
    chance = random.Random(7)
    table = records(chance, 200000)
    return (b"".join(struct.pack("<IIHH", *row) for row in table),
            b"".join(struct.pack("<IIHHI", *row, chance.randrange(4)) for row in table))


def counters():
    """All fields rise."""
    chance = random.Random(7)
    table = [[chance.randrange(1000000) for _ in range(8)] for _ in range(16384)]
    old = b"".join(struct.pack("<8I", *row) for row in table)
    return old, b"".join(struct.pack("<8I", *(v + chance.randrange(4) for v in row)) for row in table)


def transposed():
    """Records as columns."""
    table = records(random.Random(7), 50000)
    return (b"".join(struct.pack("<IIHH", *row) for row in table),
            b"".join(struct.pack("<%d%s" % (len(table), kind), *column)
                     for kind, column in zip("IIHH", zip(*table))))


def database(table):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "db")
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name, date, sum, state, key)")
        db.execute("CREATE INDEX by_name ON t (name)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", table)
        db.commit()
        yield read(path)
        chance = random.Random(8)
        for row in table:
            if chance.random() < 0.02:
                db.execute("DELETE FROM t WHERE id = ?", (row[0],))
            elif chance.random() < 0.05:
                db.execute("UPDATE t SET state = 'gone', sum = ? WHERE id = ?", (str(chance.random()), row[0]))
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)",
                       [[str(900000 + i)] + row[1:] for i, row in enumerate(rows(chance, 2000))])
        db.commit()
        yield read(path)
        db.close()


def sqlite():
    return database(list(rows(random.Random(7), 70000)))


PAIRS = {
    "program-4k-shuffled": shuffle_4k,
    "program-512-shuffled": shuffle_512,
    "program-reordered": reordered,
    "program-deduplicated": deduplicated,
    "program-line-feeds": line_feeds,
    "program-random-bytes": random_bytes,
    "program-words-inserted": inserted_words,
    "program-plus-one": plus_one,
    "noise-64-shuffled": noise_shuffle_64,
    "noise-64th-removed": noise_drop_64,
    "noise-interleaved": noise_interleave,
    "noise-rewritten": noise_rewritten,
    "python-renamed": renamed,
    "python-renamed-longer": renamed_longer,
    "python-tabs": reindented,
    "python-crlf": carriage_returns,
    "csv-changed": csv_changed,
    "csv-sorted": csv_sorted,
    "csv-column": csv_column,
    "csv-column-same": csv_column_same,
    "csv-column-removed": csv_column_removed,
    "json-changed": json_changed,
    "log-rotated": log_rotated,
    "records-widened": records_widened,
    "records-field": records_field,
    "records-counters": counters,
    "records-transposed": transposed,
    "sqlite": sqlite,
    "news-twice": repeated_news,
    "from-nothing": from_nothing,
    "tiny": tiny,
}


def store(path, data):
    with open(path + ".tmp", "wb") as f:
        f.write(data)
    os.rename(path + ".tmp", path)


def main(folder, names):
    for name in names or PAIRS:
        if name not in PAIRS:
            sys.exit("patterns.py: no pair %s; there are: %s" % (name, " ".join(PAIRS)))
    for name in names or PAIRS:
        sides = [os.path.join(folder, name, side) for side in ("old", "new")]
        if all(os.path.exists(side) for side in sides):
            continue
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for side, data in zip(sides, PAIRS[name]()):
            store(side, data)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
