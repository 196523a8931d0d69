#!/usr/bin/env python3
"""Files that tern itself writes, for llama.cpp to load: tiny models of every family that both run.

usage: written_files.py TERN MODEL.gguf FOLDER       needs numpy

NAME-converted.gguf is what `tern convert` makes of a Hugging Face folder: v3 with a layer that predicts a further token, gpt-oss with
experts in MXFP4 blocks, sentence-piece with Llama 2's kind of tokenizer; the others have MODEL.gguf's. NAME-TYPE.gguf is what
`tern quantize` makes of a file whose rows have whole blocks of 256.
"""
import dataclasses, pathlib, subprocess, sys

import numpy as np

import hf_folder, hf_tokenizer, tiny_files
from deepseek2_file import Shape
from llama_file import Shape as Llama

FOLDERS = {name: tiny_files.VARIANTS[name] for name in ('v2-lite', 'llama2', 'llama3', 'qwen2', 'qwen2-yarn', 'qwen3', 'qwen3moe', 'gpt-oss')}
FOLDERS |= {'v3': dataclasses.replace(tiny_files.VARIANTS['v3'], drafts=1), 'sentence-piece': Llama()}
WIDE = {
    'wide-llama': Llama(hidden=256, ff=512, heads=4, head=64),
    'wide-qwen3moe': Llama('qwen3moe', hidden=256, ff=256, heads=4, head=64, experts=16),
    'wide-v3': Shape(hidden=256, q_rank=256, kv_rank=256, nope=32, rope=32, v=64, dense_ff=512, expert_ff=256, groups=4, groups_used=2),
}
TYPES = ['q8_0', 'q4_k_m', 'q6_k']


def write_folder(folder, shape, source):
    """A checkpoint of `shape`, whose latent keys and values are together as checkpoints have them."""
    if isinstance(shape, Shape):
        shape = dataclasses.replace(shape, split=False)
    tokenizer = hf_tokenizer.sentence_piece() if folder.name == 'sentence-piece' else hf_tokenizer.byte_level(source)
    rng = np.random.default_rng(1)
    hf_folder.write(folder, shape, tokenizer, lambda name, dims: tiny_files.tensor_values(rng, name, dims, shape.tied, tokenizer[0]))


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    tern, source, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    run = lambda *arguments: subprocess.run([tern, *map(str, arguments), '--force'], check=True, stderr=subprocess.DEVNULL)
    for name, shape in FOLDERS.items():
        write_folder(folder / name, shape, source)
        run('convert', folder / name, folder / f'{name}-converted.gguf')
    for name, shape in WIDE.items():
        plain = folder / name / 'f32.gguf'
        plain.parent.mkdir(exist_ok=True)
        tiny_files.write_variant(plain, source, name, shape, 'F32')
        for kind in TYPES:
            run('quantize', plain, folder / f'{name}-{kind}.gguf', '--type', kind)


if __name__ == '__main__':
    main()
