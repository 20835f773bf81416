"""Writes matrix/*.npy: one small matrix in the ways that NumPy has of writing it, for tests/factorize.rs.

Run in this folder: python3 make_matrix.py. NumPy 1.26. The matrix is 3 x 4, row r and column c hold 4 r + c.
"""

from pathlib import Path

import numpy as np

v = np.arange(12.0).reshape(3, 4)
for name, values in {
    "f4": v.astype("<f4"),
    "f8_fortran": np.asfortranarray(v),
    "f4_big_endian": v.astype(">f4"),
    "i2_big_endian_fortran": np.asfortranarray(v.astype(">i2")),
    "u1": v.astype("u1"),
    "i8": v.astype("<i8"),
    "complex": v.astype("<c8"),
    "record": np.zeros((3, 4), [("a", "<f4")]),
    "vector": v[0],
    "cube": v.reshape(3, 2, 2),
    "empty": v[:0],
}.items():
    np.save(Path("matrix") / f"{name}.npy", values)

with open("matrix/f8_version_2.npy", "wb") as file:
    np.lib.format.write_array(file, v, version=(2, 0))
