# SPDX-License-Identifier: ISC
"""The log of a spool, read from outside while the server writes it (src/spool/log_format.h has the bytes)."""
import struct

HEADER, START, ALIGN, MESSAGE, GONE = 64, 2 * 4096, 64, 1, 2
HEAD = struct.Struct("<8sQQQ8s")
RECORD = struct.Struct("<8sQQIII16s")


def records(data, mark):
    """Kind, identifier and payload of each record that bears the mark."""
    at = data.find(mark, START)
    while at >= 0:
        if at % ALIGN:
            at = data.find(mark, at + 1)
            continue
        _, _, _, kind, size, _, name = RECORD.unpack_from(data, at)
        yield kind, name.decode(), data[at + HEADER:at + HEADER + size]
        at = data.find(mark, at + HEADER + size)


def live(spool):
    """The identifiers of the messages that are in the log and not gone from it."""
    segments = []
    for file in spool.glob("log/*"):
        data = file.read_bytes()
        if len(data) >= START:
            magic, generation, oldest, _, mark = HEAD.unpack_from(data)
            if magic == b"PostLog1":
                segments.append((generation, oldest, mark, data))
    found = {}
    oldest = max((one[:2] for one in segments), default=(0, 0))[1]
    for generation, _, mark, data in sorted(segments):
        for kind, name, payload in records(data, mark) if generation >= oldest else ():
            if kind == MESSAGE:
                found[name] = True
            for at in range(0, len(payload) if kind == GONE else 0, 16):
                found.pop(payload[at:at + 16].decode(), None)
    return list(found)
