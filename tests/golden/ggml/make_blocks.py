#!/usr/bin/env python3
"""Blocks of every ggml format that Sable reads, and what the ggml library makes of them.

  make_blocks.py LIBRARY OUT_DIR      LIBRARY: libggml-base.so, e.g. of npm's node-llama-cpp 3.22.1
                                      (package @node-llama-cpp/linux-x64, llama.cpp v0.5.0)

For each type two files: TYPE.bin, half of it blocks of random bytes (scales are finite), half of it random
numbers quantised by ggml; and TYPE.f32, the same blocks through the library's to_float. The random bytes come from
a fixed seed. Only ctypes is needed.
"""
import ctypes, json, os, random, struct, sys

# name, ggml type number, elements and bytes of a block, offsets of the f16 numbers in it
TYPES = [("F16", 1, 1, 2, [0]), ("BF16", 30, 1, 2, []), ("Q8_0", 8, 32, 34, [0]), ("MXFP4", 39, 32, 17, []),
         ("Q2_K", 10, 256, 84, [80, 82]), ("Q4_K", 12, 256, 144, [0, 2]), ("Q5_K", 13, 256, 176, [0, 2]),
         ("Q6_K", 14, 256, 210, [208]), ("IQ2_XXS", 16, 256, 66, [0])]


class Traits(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("elements", ctypes.c_int64), ("interleave", ctypes.c_int64),
                ("bytes", ctypes.c_size_t), ("quantized", ctypes.c_bool), ("to_float", ctypes.c_void_p)]


def main(library, out):
    ggml = ctypes.CDLL(library)
    ggml.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, ctypes.c_int64,
                                         ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(ctypes.c_float)]
    ggml.ggml_fp16_to_fp32.restype = ctypes.c_float
    rng = random.Random(4)
    index = []
    for name, number, elements, size, halves in TYPES:
        traits = ggml.ggml_get_type_traits(number).contents
        assert (traits.name.decode().upper(), traits.elements, traits.bytes) == (name, elements, size), name
        n = 6 if elements == 256 else 16 if elements == 32 else 256
        blocks = bytearray()
        for _ in range(n):
            block = bytearray(rng.randbytes(size))
            for at in halves:
                block[at:at + 2] = struct.pack("<e", rng.uniform(-2, 2))
            if name == "BF16":
                block[1] &= 0xBF  # finite
            if name == "MXFP4":
                block[0] = rng.randrange(0, 255)  # 255 is NaN by the MX specification; ggml reads it as 2^128
            blocks += block
        values = (ctypes.c_float * (n * elements))(*[rng.gauss(0, 1) for _ in range(n * elements)])
        weights = (ctypes.c_float * (n * elements))(*[1.0] * (n * elements))
        packed = ctypes.create_string_buffer(n * size)
        row = n * elements
        assert ggml.ggml_quantize_chunk(number, values, packed, 0, 1, row, weights) == n * size
        blocks += packed.raw
        floats = (ctypes.c_float * (2 * row))()
        to_float = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.POINTER(ctypes.c_float), ctypes.c_int64)(traits.to_float)
        to_float(bytes(blocks), floats, 2 * row)
        with open(os.path.join(out, name + ".bin"), "wb") as f:
            f.write(blocks)
        with open(os.path.join(out, name + ".f32"), "wb") as f:
            f.write(bytes(floats))
        index.append(dict(type=name, elements=2 * row))
    with open(os.path.join(out, "index.json"), "w") as f:
        json.dump(dict(library="node-llama-cpp 3.22.1, llama.cpp v0.5.0, libggml-base.so, to_float", types=index), f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
