#!/usr/bin/env python3
"""Write small files of every family, with random weights, that tern and llama.cpp both load.

usage: tiny_files.py MODEL.gguf FOLDER       needs numpy

Each variant comes as F32, F16 and Q8_0 with the tokenizer of MODEL.gguf; FOLDER/MODEL-f32.gguf is MODEL's own weights
as F32. Variants stay within what llama.cpp runs as its papers say. It gives a group of experts the sum of its two best
scores even where the model has no bias (DeepSeek-V2 takes the best one), so groups come with a bias. It rounds the ends
of YaRN's ramp, which gpt-oss does not, so its file comes without.
"""
import pathlib, sys

import numpy as np

import deepseek2_file, gguf_file, llama_file, model_file
from deepseek2_file import Shape
from llama_file import Shape as Llama

VARIANTS = {
    'v3': Shape(groups=4, groups_used=2, yarn=4.0),
    'v2-lite': Shape(q_rank=0, sigmoid=False, bias=False, normalise=False, scale=1.0, shared=2, yarn=4.0,
                     yarn_log_multiplier=0.0707),
    'two-dense': Shape(layers=4, dense_layers=2, bias=False),
    'tied': Shape(tied=True, sigmoid=False, bias=False, scale=1.5),
    'joined': Shape(split=False, q_rank=0, scale=1.0),
    'llama2': Llama(kv_heads=4),
    'llama3': Llama(divisors=True, theta=500000.0, tied=True),
    'qwen2': Llama('qwen2', kv_heads=1, head=16, theta=1e6),
    'qwen2-yarn': Llama('qwen2', head=16, yarn=4.0, tied=True),
    'qwen3': Llama('qwen3', theta=1e6),
    'qwen3moe': Llama('qwen3moe', ff=32, experts=16),
    'gpt-oss': Llama('gpt-oss', layers=4, ff=32, experts=16, window=16),
}


def values(rng, name, dims):
    """Norms about 1, divisors above, biases positive."""
    if name.endswith('norm.weight'):
        return rng.uniform(0.7, 1.3, dims[0])
    if name == 'rope_freqs.weight':
        return np.linspace(1, 8, dims[0])
    if name.endswith('.bias') or len(dims) == 1:
        return rng.uniform(0, 0.3, int(np.prod(dims)))
    return rng.normal(0, model_file.deviation(name, dims), int(np.prod(dims)))


def silence(rows, names):
    """Zeroes the rows of tokens that the API can't name, single bytes above ASCII for one: they are never among the best."""
    for token, name in enumerate(names):
        if name.startswith(('<0x', '<unk>')) or not name.replace('\u0120', '').replace('\u2581', '').isascii():
            rows[token] = 0


def tensor_values(rng, name, dims, tied, names):
    """values(), where the head has nothing to say of tokens that the API can't name."""
    found = values(rng, name, dims)
    if name == ('token_embd.weight' if tied else 'output.weight'):
        silence(found.reshape(len(names), -1), names)
    return found


def write_variant(path, source, name, shape, kind):
    rng = np.random.default_rng(1)  # the same values whatever their type
    family = deepseek2_file if isinstance(shape, Shape) else llama_file
    keys = family.keys(shape, name, source)
    names = gguf_file.strings(keys['tokenizer.ggml.tokens'][1])
    gguf_file.write(path, keys, list(family.tensors(shape, len(names), kind)),
                    lambda tensor, dims, as_type: gguf_file.encode(tensor_values(rng, tensor, dims, shape.tied, names), as_type))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in VARIANTS.items():
        for kind in ('F32', 'F16', 'Q8_0'):
            write_variant(folder / f'{name}-{kind.lower()}.gguf', source, name, shape, kind)
    gguf_file.write_as_f32(source, folder / f'{source.stem}-f32.gguf')


if __name__ == '__main__':
    main()
