"""Wire formats: bytes and tokens. Each codec is written once, over primitives that exist twice under one contract.

`http1_primitives.pyx`, `octets.pyx` and `primitives.pyx` (over `csrc/`) become extensions, which the import system
prefers; where there are none, or under `HYPERCORN_PURE_PYTHON=1`, the same names are the `.py` files beside them. Both
give the same verdict on the same bytes. What imports such a name never asks which twin it is.
"""
