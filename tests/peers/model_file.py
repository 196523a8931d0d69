"""What the files of every architecture have in common."""
import struct

import gguf_file


def keys(found, source):
    """A file's keys as GGUF has them, out of {name without the architecture: value}; the tokenizer is that of the file
    `source`."""
    arch = found['general.architecture']
    named = {k if k.startswith('general.') else f'{arch}.{k}': gguf_file.key(v) for k, v in found.items()}
    return named | plain_tokenizer(source)


def plain_tokenizer(source):
    """`source`'s tokenizer, but a model that says anything at any time: without template and thinking, and with no
    special tokens but the first and the last of a text."""
    found = {k: v for k, v in gguf_file.read(source)[0].items() if k.startswith('tokenizer.ggml.')}
    names = gguf_file.strings(found['tokenizer.ggml.tokens'][1])
    names = [{'<think>': '<spare1>', '</think>': '<spare2>'}.get(name, name) for name in names]
    ends = [struct.unpack('<I', found[f'tokenizer.ggml.{end}_token_id'][1])[0] for end in ('bos', 'eos')]
    types = [3 if i in ends else 1 for i in range(len(names))]
    found['tokenizer.ggml.tokens'] = (gguf_file.ARRAY, gguf_file.array(names))
    found['tokenizer.ggml.token_type'] = (gguf_file.ARRAY, gguf_file.array(types))
    return found


def gated(s, p, suffix, ff, kind, experts=()):
    yield f'{p}ffn_gate{suffix}.weight', (s.hidden, ff, *experts), kind
    yield f'{p}ffn_up{suffix}.weight', (s.hidden, ff, *experts), kind
    yield f'{p}ffn_down{suffix}.weight', (ff, s.hidden, *experts), kind


# Of matrices, times 1 / sqrt(columns). Logits far apart, so that the greedy choice is seldom a tie; gates too; and the
# routed experts quiet: where rounding sends a token to another one, that is not all that one sees.
GAINS = {'token_embd': 5.0, 'output.weight': 4.0, 'attn_output': 1.0, 'ffn_gate_inp': 4.0, 'ffn_down_exps': 0.3}


def deviation(name, dims):
    """Of a matrix's random weights."""
    return next((gain for part, gain in reversed(GAINS.items()) if part in name), 1.0) / dims[0] ** 0.5
