"""Wire formats: bytes and tokens. Each codec exists twice under one name and one contract.

`http1.pyx` (over `csrc/`) becomes the extension `http1`, which the import system prefers; where there is
none, or under `HYPERCORN_PURE_PYTHON=1`, the same name is `http1.py`. Both give the same verdict on the same
bytes. The floors above import the name and never ask which twin it is.
"""
