"""Tokenizers of tiny Hugging Face folders: (the tokens' names, tokenizer.json, tokenizer_config.json)."""
import struct

import numpy as np

import gguf_file, model_file

FLAGS = {'special': True, 'normalized': False, 'single_word': False, 'lstrip': False, 'rstrip': False}
WORDS = ('the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what all '
         'were we when your can said there use an each which she do how their if will up other about out many then them these so').split()


def byte_level(source):
    """That of the GGUF file `source`, a byte-level BPE with GPT-2's pattern, with no special tokens but begin and end."""
    keys = model_file.plain_tokenizer(source)
    names, merges = (gguf_file.strings(keys[f'tokenizer.ggml.{key}'][1]) for key in ('tokens', 'merges'))
    types = np.frombuffer(keys['tokenizer.ggml.token_type'][1][12:], '<i4')
    step = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': True}
    model = {'type': 'BPE', 'vocab': {name: i for i, name in enumerate(names) if types[i] == 1}, 'merges': merges}
    added = [{'id': i, 'content': name} | FLAGS for i, name in enumerate(names) if types[i] != 1]
    ends = {f'{end}_token': names[struct.unpack('<I', keys[f'tokenizer.ggml.{end}_token_id'][1])[0]] for end in ('bos', 'eos')}
    return names, {'version': '1.0', 'added_tokens': added, 'pre_tokenizer': step, 'decoder': step, 'model': model}, ends


def sentence_piece():
    """As Llama 2's: SentencePiece's BPE over characters, with bytes where a character has no token."""
    block = '\u2581'
    letters = [block, *map(chr, range(ord('a'), ord('z') + 1))]
    words = [block + word for word in WORDS]
    merges = list(dict.fromkeys((word[:n], word[n]) for word in words for n in range(1, len(word))))
    specials = ['<unk>', '<s>', '</s>']
    names = specials + [f'<0x{byte:02X}>' for byte in range(256)] + letters + [left + right for left, right in merges]
    model = {'type': 'BPE', 'unk_token': '<unk>', 'fuse_unk': True, 'byte_fallback': True, 'vocab': {name: i for i, name in enumerate(names)},
             'merges': [list(pair) for pair in merges]}
    replace = {'type': 'Replace', 'pattern': {'String': ' '}, 'content': block}
    added = [{'id': i, 'content': name} | FLAGS for i, name in enumerate(specials)]
    normalizer = {'type': 'Sequence', 'normalizers': [{'type': 'Prepend', 'prepend': block}, replace]}
    tokenizer = {'version': '1.0', 'added_tokens': added, 'normalizer': normalizer, 'pre_tokenizer': None, 'model': model}
    return names, tokenizer, {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
