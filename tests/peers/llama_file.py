"""The keys and tensors of a Llama-style file (llama, qwen2, qwen3, qwen3moe, gpt-oss) of any shape, as llama.cpp demands them."""
from dataclasses import dataclass

import model_file
from model_file import gated


@dataclass
class Shape:
    arch: str = 'llama'
    hidden: int = 64
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head: int = 32
    ff: int = 128      # of an expert where there are experts
    experts: int = 0
    used: int = 3
    theta: float = 10000.0
    divisors: bool = False  # Llama 3.1's rope_freqs
    yarn: float = 0.0       # the factor; 0: none
    window: int = 0         # gpt-oss
    tied: bool = False
    context: int = 512

    @property
    def biased(self):
        return self.arch in ('qwen2', 'gpt-oss')

    @property
    def normed(self):
        return self.arch.startswith('qwen3')


def keys(shape, name, source):
    """All keys of a file; the tokenizer is that of the file `source`."""
    s = shape
    found = {
        'general.architecture': s.arch, 'general.name': name,
        'context_length': s.context, 'embedding_length': s.hidden, 'block_count': s.layers, 'feed_forward_length': s.ff,
        'attention.head_count': s.heads, 'attention.head_count_kv': s.kv_heads, 'attention.key_length': s.head,
        'attention.value_length': s.head, 'attention.layer_norm_rms_epsilon': 1e-6,
        'rope.dimension_count': s.head, 'rope.freq_base': s.theta}
    if s.experts:
        found |= {'expert_count': s.experts, 'expert_used_count': s.used, 'expert_feed_forward_length': s.ff}
    if s.window:
        found['attention.sliding_window'] = s.window
    if s.yarn:
        found |= {'rope.scaling.type': 'yarn', 'rope.scaling.factor': s.yarn, 'rope.scaling.original_context_length': 64}
    return model_file.keys(found, source)


def attention(s, p, kind):
    for part, rows in (('q', s.heads * s.head), ('k', s.kv_heads * s.head), ('v', s.kv_heads * s.head)):
        yield f'{p}attn_{part}.weight', (s.hidden, rows), kind
        if s.biased:
            yield f'{p}attn_{part}.bias', (rows,), 'F32'
    yield p + 'attn_output.weight', (s.heads * s.head, s.hidden), kind
    if s.normed:
        yield p + 'attn_q_norm.weight', (s.head,), 'F32'
        yield p + 'attn_k_norm.weight', (s.head,), 'F32'
    if s.arch == 'gpt-oss':
        yield p + 'attn_output.bias', (s.hidden,), 'F32'
        yield p + 'attn_sinks.weight', (s.heads,), 'F32'


def tensors(shape, vocab, kind):
    """(name, dims, type's name) of every tensor: matrices of type `kind`; norms, gate and biases F32."""
    s, oss = shape, shape.arch == 'gpt-oss'
    yield 'token_embd.weight', (s.hidden, vocab), kind
    if s.divisors:
        yield 'rope_freqs.weight', (s.head // 2,), 'F32'
    for layer in range(s.layers):
        p = f'blk.{layer}.'
        yield p + 'attn_norm.weight', (s.hidden,), 'F32'
        yield from attention(s, p, kind)
        yield p + ('post_attention_norm.weight' if oss else 'ffn_norm.weight'), (s.hidden,), 'F32'
        if not s.experts:
            yield from gated(s, p, '', s.ff, kind)
            continue
        yield p + 'ffn_gate_inp.weight', (s.hidden, s.experts), 'F32'
        yield from gated(s, p, '_exps', s.ff, kind, (s.experts,))
        if oss:
            yield p + 'ffn_gate_inp.bias', (s.experts,), 'F32'
            for part, rows in (('gate', s.ff), ('up', s.ff), ('down', s.hidden)):
                yield f'{p}ffn_{part}_exps.bias', (rows, s.experts), 'F32'
    yield 'output_norm.weight', (s.hidden,), 'F32'
    if not s.tied:
        yield 'output.weight', (s.hidden, vocab), kind
