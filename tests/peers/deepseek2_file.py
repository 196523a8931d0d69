"""The keys and tensors of a deepseek2 file of any shape, as llama.cpp demands them."""
from dataclasses import dataclass

import model_file
from model_file import gated


@dataclass
class Shape:
    hidden: int = 64
    layers: int = 3
    heads: int = 4
    q_rank: int = 64  # 0: the query is whole
    kv_rank: int = 64
    nope: int = 32
    rope: int = 16
    v: int = 32
    dense_layers: int = 1
    dense_ff: int = 128
    experts: int = 16
    used: int = 3
    shared: int = 1
    expert_ff: int = 32
    groups: int = 1
    groups_used: int = 1
    sigmoid: bool = True
    bias: bool = True
    normalise: bool = True
    scale: float = 2.5
    yarn: float = 0.0  # the factor; 0: none
    yarn_original: int = 64
    yarn_log_multiplier: float = 0.1
    split: bool = True  # attn_k_b and attn_v_b apart; else one attn_kv_b, as in older files
    tied: bool = False
    drafts: int = 0  # layers that predict further tokens, as the last blocks
    context: int = 512


def keys(shape, name, source):
    """All keys of a file; the tokenizer is that of the file `source`."""
    s, latent = shape, shape.split
    found = {
        'general.architecture': 'deepseek2', 'general.name': name,
        'context_length': s.context, 'embedding_length': s.hidden, 'block_count': s.layers + s.drafts,
        'feed_forward_length': s.dense_ff, 'leading_dense_block_count': s.dense_layers,
        'attention.head_count': s.heads, 'attention.head_count_kv': 1 if latent else s.heads,
        'attention.layer_norm_rms_epsilon': 1e-6,
        'attention.q_lora_rank': s.q_rank, 'attention.kv_lora_rank': s.kv_rank,
        'attention.key_length': s.kv_rank + s.rope if latent else s.nope + s.rope,
        'attention.value_length': s.kv_rank if latent else s.v,
        'rope.dimension_count': s.rope, 'rope.freq_base': 10000.0,
        'expert_count': s.experts, 'expert_used_count': s.used, 'expert_shared_count': s.shared,
        'expert_feed_forward_length': s.expert_ff, 'expert_gating_func': 2 if s.sigmoid else 1,
        'expert_weights_norm': s.normalise, 'expert_weights_scale': s.scale}
    if latent:
        found |= {'attention.key_length_mla': s.nope + s.rope, 'attention.value_length_mla': s.v}
    if s.groups > 1:
        found |= {'expert_group_count': s.groups, 'expert_group_used_count': s.groups_used}
    if s.drafts:
        found['nextn_predict_layers'] = s.drafts
    if s.yarn:
        found |= {'rope.scaling.type': 'yarn', 'rope.scaling.factor': s.yarn,
                  'rope.scaling.original_context_length': s.yarn_original,
                  'rope.scaling.yarn_log_multiplier': s.yarn_log_multiplier}
    return model_file.keys(found, source)


def attention(s, p, kind):
    width = s.heads * (s.nope + s.rope)
    if s.q_rank:
        yield p + 'attn_q_a.weight', (s.hidden, s.q_rank), kind
        yield p + 'attn_q_a_norm.weight', (s.q_rank,), 'F32'
        yield p + 'attn_q_b.weight', (s.q_rank, width), kind
    else:
        yield p + 'attn_q.weight', (s.hidden, width), kind
    yield p + 'attn_kv_a_mqa.weight', (s.hidden, s.kv_rank + s.rope), kind
    yield p + 'attn_kv_a_norm.weight', (s.kv_rank,), 'F32'
    if s.split:
        yield p + 'attn_k_b.weight', (s.nope, s.kv_rank, s.heads), kind
        yield p + 'attn_v_b.weight', (s.kv_rank, s.v, s.heads), kind
    else:
        yield p + 'attn_kv_b.weight', (s.kv_rank, s.heads * (s.nope + s.v)), kind
    yield p + 'attn_output.weight', (s.heads * s.v, s.hidden), kind


def tensors(shape, vocab, kind):
    """(name, dims, type's name) of every tensor: matrices of type `kind`; norms, gate and bias F32."""
    s = shape
    yield 'token_embd.weight', (s.hidden, vocab), kind
    for layer in range(s.layers + s.drafts):
        p = f'blk.{layer}.'
        if layer >= s.layers:
            yield p + 'nextn.eh_proj.weight', (2 * s.hidden, s.hidden), kind
            for norm in ('enorm', 'hnorm', 'shared_head_norm'):
                yield f'{p}nextn.{norm}.weight', (s.hidden,), 'F32'
        yield p + 'attn_norm.weight', (s.hidden,), 'F32'
        yield from attention(s, p, kind)
        yield p + 'ffn_norm.weight', (s.hidden,), 'F32'
        if layer < s.dense_layers:
            yield from gated(s, p, '', s.dense_ff, kind)
            continue
        yield p + 'ffn_gate_inp.weight', (s.hidden, s.experts), 'F32'
        if s.bias:
            yield p + 'exp_probs_b.bias', (s.experts,), 'F32'
        yield from gated(s, p, '_exps', s.expert_ff, kind, (s.experts,))
        yield from gated(s, p, '_shexp', s.expert_ff * s.shared, kind)
    yield 'output_norm.weight', (s.hidden,), 'F32'
    if not s.tied:
        yield 'output.weight', (s.hidden, vocab), kind
