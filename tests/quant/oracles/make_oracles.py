"""Writes what the public `gguf` package (0.19.0) makes of each block format: needs it and numpy.

NAME.bin    blocks of 256 weights of random bytes (no infinite scale), then the 256 floats that it decodes them to
encode.bin  256 floats, then their encodings by it to Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, MXFP4
"""
import pathlib

import gguf
import numpy

FOLDER = pathlib.Path(__file__).parent
NAMES = ('Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'IQ4_NL', 'IQ4_XS', 'MXFP4')
ENCODED = ('Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'MXFP4')


def random_blocks(random, kind):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    while True:
        data = random.integers(0, 256, (256 // block, size), dtype=numpy.uint8)
        with numpy.errstate(all='ignore'):
            weights = gguf.quants.dequantize(data, kind)
        if numpy.isfinite(weights).all():
            return data, weights


def main():
    random = numpy.random.default_rng(3)
    for name in NAMES:
        data, weights = random_blocks(random, gguf.GGMLQuantizationType[name])
        (FOLDER / f'{name}.bin').write_bytes(data.tobytes() + weights.astype('<f4').tobytes())
    scales = numpy.repeat(numpy.exp2(random.integers(-12, 4, 8)), 32)
    weights = (random.standard_normal(256) * scales).astype('<f4')
    weights[:32] = numpy.round(weights[:32] / numpy.abs(weights[:32]).max() * 16)  # ties
    weights[32:64] = 0
    encoded = [gguf.quants.quantize(weights.reshape(-1, 32), gguf.GGMLQuantizationType[name]) for name in ENCODED]
    (FOLDER / 'encode.bin').write_bytes(weights.tobytes() + b''.join(e.tobytes() for e in encoded))


main()
