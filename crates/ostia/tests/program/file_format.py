"""Reads an .ostia file by docs/file-format.md alone, and looks keys up in a displace table.

file_format.py TABLE KEY... prints the index and the value of each key, or "-" for a foreign one.
"""

import sys

ALL = (1 << 64) - 1
LAST = 0xD6E8FEB86659FD93


def hash_bytes(seed, data):
    state = (seed ^ len(data)) * LAST & ALL
    for at in range(0, len(data), 8):
        state = (state ^ int.from_bytes(data[at : at + 8], "little")) * 0x9E3779B97F4A7C15 & ALL
        state ^= state >> 32
    state = state * LAST & ALL
    return state ^ state >> 32


def mix(word, first, second):
    product = word * first & ALL
    return (product ^ product >> 32) * second & ALL


def main(path, keys):
    with open(path, "rb") as file:
        data = file.read()

    def number(at, size):
        return int.from_bytes(data[at : at + size], "little")

    assert data[:8] == b"\x89OSTIA\r\n" and number(8, 4) == 1
    assert number(16, 8) == len(data)
    assert number(24, 8) == hash_bytes(0x6F7374696101, data[:24] + bytes(8) + data[32:])
    key_type, foreign, bits = data[32], data[34], data[35]
    count, kept, text_seed = number(40, 4), number(48, 8), number(56, 8)
    kind, function, buckets, slots = data[96:100]
    s1, s2 = number(112, 8), number(120, 8)
    assert kind == 2, "a displace table"

    lanes = {}
    for section in range(number(12, 4)):
        at = 192 + 24 * section
        tag, width, offset, length = number(at, 4), number(at + 4, 4), number(at + 8, 8), number(at + 16, 8)
        assert tag not in lanes and offset % 64 == 0 and length % width == 0
        lanes[tag] = [number(i, width) for i in range(offset, offset + length, width)]
    cells, ranks = lanes[1], lanes.get(2)
    assert len(cells) == 1 << buckets

    for key in keys:
        text = key.encode()
        width = (8, 16, 32, 64)[key_type % 4]
        word = hash_bytes(text_seed, text) if key_type >= 8 else int(key) & (1 << width) - 1
        hashed = word
        if kept:
            ones = [bit for bit in range(64) if kept >> bit & 1]
            hashed = sum((word >> bit & 1) << place for place, bit in enumerate(ones))
        spread = mix(hashed, s1, s2) if function else hashed * s1 & ALL
        slot = (spread >> 64 - buckets - slots ^ cells[spread >> 64 - buckets]) & (1 << slots) - 1
        index = slot
        if ranks:
            index = ranks[slot] & (1 << (count - 1).bit_length()) - 1
        member = True
        if foreign == 1:
            mark = mix(word ^ 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3) >> 64 - bits
            member = lanes[3][index] == mark
        elif foreign == 2 and key_type < 8:
            member = lanes[4][index] == word
        elif foreign == 2:
            start = lanes[5][index - 1] if index else 0
            member = bytes(lanes.get(6, [])[start : lanes[5][index]]) == text
        value = f" {lanes[7][index]}" if 7 in lanes else ""
        print(f"{index}{value}" if member else "-")


main(sys.argv[1], sys.argv[2:])
