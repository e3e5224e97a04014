"""loops.py - work that allocates: trees, dictionaries, strings, lists of lists, JSON. Prints what it computed.

loops.py ROUNDS
"""

import gc
import json
import sys
import zlib


class Node:
    __slots__ = ("left", "right", "value")

    def __init__(self, left, right, value):
        self.left, self.right, self.value = left, right, value


def tree(depth):
    if depth == 0:
        return Node(None, None, 1)
    return Node(tree(depth - 1), tree(depth - 1), depth)


def total(node):
    return node.value + (total(node.left) + total(node.right) if node.left else 0)


def words(count):
    state = 12345
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2147483648
        yield "w%d" % (state % 5000) + "x" * (state % 97)


def dictionaries(count):
    seen = {}
    for word in words(count):
        seen.setdefault(word, []).append(len(seen))
    return sum(len(places) for places in seen.values()), len(seen)


def documents(count):
    data = [{"id": i, "tags": ["t%d" % (i % n) for n in range(1, 9)], "text": "é" * (i % 300)} for i in range(count)]
    text = json.dumps(data)
    return zlib.crc32(text.encode()), len(json.loads(text))


def matrices(size):
    a = [[float(i ^ j) for j in range(size)] for i in range(size)]
    columns = list(zip(*a))
    return sum(sum(x * y for x, y in zip(row, column)) for row in a for column in columns)


def buffers(count):
    kept, size = [], 0
    for i in range(count):
        kept.append(bytearray(1000 + (i * 7919) % 60000))
        if len(kept) > 300:
            size += len(kept.pop((i * 31) % 300))
    return size


def main():
    for _ in range(int(sys.argv[1])):
        print(total(tree(14)), dictionaries(60000), documents(4000), matrices(60), buffers(20000))
        gc.collect()


main()
