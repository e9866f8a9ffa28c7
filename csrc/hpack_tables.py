"""Writes csrc/hpack_tables.h: the Huffman code of RFC 7541 appendix B as a machine that takes four bits at a time.

    python csrc/hpack_tables.py > csrc/hpack_tables.h

The code itself comes from the `hpack` package. A state is an inner node of the code's tree; state 0 is the root.
"""

from __future__ import annotations

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

EMITS, FAILS, ENDS = 1, 2, 4  # a symbol came out; no such code, or EOS; the string may end here


def tree() -> tuple[list[list[int]], list[bool]]:
    """Inner nodes as pairs (a child's number, or -1 - symbol), and whether a string may end in each."""
    nodes = [[0, 0]]
    ends = [True]
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        node = 0
        for position in range(length - 1, -1, -1):
            bit = code >> position & 1
            if position == 0:
                nodes[node][bit] = -1 - symbol
            elif nodes[node][bit] == 0:
                nodes.append([0, 0])
                # Padding is the beginning of EOS, which is ones, and shorter than an octet (RFC 7541 section 5.2).
                depth = length - position
                ends.append(code >> position == (1 << depth) - 1 and depth < 8)
                nodes[node][bit] = len(nodes) - 1
                node = len(nodes) - 1
            else:
                node = nodes[node][bit]
    return nodes, ends


def step(nodes: list[list[int]], ends: list[bool], state: int, nibble: int) -> tuple[int, int, int]:
    """Next state, flags and symbol."""
    flags = symbol = 0
    for position in (3, 2, 1, 0):
        state = nodes[state][nibble >> position & 1]
        if state < 0:
            symbol = -1 - state
            if symbol == 256:
                return 0, FAILS, 0
            flags, state = EMITS, 0
    return state, flags | (ENDS if ends[state] else 0), symbol


def main() -> None:
    nodes, ends = tree()
    print("/* Made by hpack_tables.py: Huffman decoding (RFC 7541 appendix B), four bits at a time. */")
    print("#ifndef HYPERCORN_HPACK_TABLES_H\n#define HYPERCORN_HPACK_TABLES_H\n")
    print("#include <stdint.h>\n")
    print("enum { HUFFMAN_EMITS = 1, HUFFMAN_FAILS = 2, HUFFMAN_ENDS = 4 };\n")
    print("struct huffman_step {\n    uint8_t next, flags, symbol;\n};\n")
    print(f"static const struct huffman_step HUFFMAN[{len(nodes)}][16] = {{")
    for state in range(len(nodes)):
        steps = [step(nodes, ends, state, nibble) for nibble in range(16)]
        print("    {" + ", ".join(f"{{{a}, {b}, {c}}}" for a, b, c in steps) + "},")
    print("};\n\n#endif")


main()
