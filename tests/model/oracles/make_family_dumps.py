#!/usr/bin/env python3
"""Writes tiny random Llama-style models and what transformers says they answer: NAME.gguf and NAME.safetensors; and the
same models with their weights in bf16 as transformers saves them: NAME/, a Hugging Face folder.

usage: make_family_dumps.py [--only NAME] OUT_DIR     (needs transformers==5.23.0, torch==2.13.0, safetensors, numpy)

Each configuration switches on what its name says. Weights are drawn anew for every parameter, norms, biases and sinks
included, so that leaving one out shows. Beside the logits stand those of the same model with its weights rounded to
bf16 (`bf16_logits`), still computed in float32: transformers' own rounding of activations to bf16 is worth 1 to 4%,
which the dump tells in its metadata; and the experts that model chooses, {moe layers, tokens, used}, ascending.
"""
import copy, json, math

import torch
import transformers
from safetensors.numpy import save_file

from common import main, relative_error, save_folder, write_gguf

TOKENS, VOCAB = 70, 64  # two pages of the cache and a piece of the next
COMMON = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, attn_implementation='eager')
YARN = dict(rope_type='yarn', factor=4.0, original_max_position_embeddings=64, beta_fast=32.0, beta_slow=1.0)
LLAMA3 = dict(rope_type='llama3', factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
MOE = dict(num_experts=8, num_experts_per_tok=3, moe_intermediate_size=24, decoder_sparse_step=1, mlp_only_layers=[])


def rope(theta, **scaling):
    return dict(rope_theta=theta, **{'rope_type': 'default', **scaling})


# name -> (architecture in GGUF, transformers' class, configuration)
CONFIGS = {
    'llama2': ('llama', 'Llama', dict(num_key_value_heads=4, rope_parameters=rope(10000.0))),
    'llama3': ('llama', 'Llama', dict(rope_parameters=rope(5000.0, **LLAMA3))),
    'llama_tied_linear_bias': ('llama', 'Llama', dict(tie_word_embeddings=True, attention_bias=True, head_dim=16,
                                                      rope_parameters=rope(10000.0, rope_type='linear', factor=4.0))),
    'llama_tied_linear': ('llama', 'Llama', dict(tie_word_embeddings=True, head_dim=16,
                                                 rope_parameters=rope(10000.0, rope_type='linear', factor=4.0))),
    'mistral': ('llama', 'Mistral', dict(head_dim=8, num_key_value_heads=1, sliding_window=None, rope_parameters=rope(1e6))),
    'qwen2': ('qwen2', 'Qwen2', dict(rope_parameters=rope(1e6))),
    'qwen2_tied_yarn': ('qwen2', 'Qwen2', dict(tie_word_embeddings=True, rope_parameters=rope(1e4, **YARN))),
    'qwen3': ('qwen3', 'Qwen3', dict(head_dim=16, rope_parameters=rope(1e6))),
    'qwen3moe': ('qwen3moe', 'Qwen3Moe', dict(head_dim=16, norm_topk_prob=True, rope_parameters=rope(1e6), **MOE)),
    'gpt_oss': ('gpt-oss', 'GptOss', dict(head_dim=16, num_hidden_layers=3, num_local_experts=8, num_experts_per_tok=3,
                                          intermediate_size=24, sliding_window=9, attention_bias=True,
                                          layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
                                          rope_parameters=rope(1e4, truncate=False, **YARN))),
}


def make_model(cls, settings, seed):
    config = getattr(transformers, cls + 'Config')(**{**COMMON, **settings})
    model = getattr(transformers, cls + 'ForCausalLM')(config).float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if 'norm' in name:
                p.copy_(1 + 0.2 * noise)
            elif p.dim() == 1 or name.endswith('bias'):
                p.copy_(0.5 * noise)
            elif 'embed_tokens' in name:
                p.copy_(noise)
            else:
                rows_last = 'gpt_oss' in str(type(model)) and 'experts' in name  # {experts, in, out}
                p.copy_(noise * (1.4 / math.sqrt(p.shape[-2 if rows_last else -1])))
    return model


# ---- GGUF

def interleaved(w, heads):
    """Rows of q or k so that the pairs (i, i + d/2) of each head become neighbours."""
    return w.view(heads, 2, -1, *w.shape[1:]).transpose(1, 2).reshape(w.shape)


def llama3_divisors(config, dim):
    p = config.rope_parameters
    divisors = []
    for i in range(dim // 2):
        wave = 2 * math.pi * p['rope_theta'] ** (2 * i / dim)
        low = p['original_max_position_embeddings'] / p['low_freq_factor']
        high = p['original_max_position_embeddings'] / p['high_freq_factor']
        if wave < high:
            divisors.append(1.0)
        elif wave > low:
            divisors.append(p['factor'])
        else:
            smooth = (p['original_max_position_embeddings'] / wave - p['low_freq_factor']) / (p['high_freq_factor'] - p['low_freq_factor'])
            divisors.append(1 / ((1 - smooth) / p['factor'] + smooth))
    return torch.tensor(divisors)


def model_keys(name, arch, config, head):
    keys = {'general.architecture': arch, 'general.name': f'{name} (tiny, random weights)'}
    p = config.rope_parameters
    own = {'context_length': config.max_position_embeddings, 'embedding_length': config.hidden_size,
           'block_count': config.num_hidden_layers, 'feed_forward_length': config.intermediate_size,
           'attention.head_count': config.num_attention_heads, 'attention.head_count_kv': config.num_key_value_heads,
           'attention.key_length': head, 'attention.value_length': head, 'rope.dimension_count': head,
           'attention.layer_norm_rms_epsilon': config.rms_norm_eps, 'rope.freq_base': p['rope_theta']}
    if p['rope_type'] in ('linear', 'yarn'):
        own.update({'rope.scaling.type': p['rope_type'], 'rope.scaling.factor': p['factor']})
    if p['rope_type'] == 'yarn':
        own['rope.scaling.original_context_length'] = p['original_max_position_embeddings']
    if arch in ('qwen3moe', 'gpt-oss'):
        moe = arch == 'qwen3moe'
        own.update({'expert_count': config.num_experts if moe else config.num_local_experts,
                    'expert_used_count': config.num_experts_per_tok,
                    'expert_feed_forward_length': config.moe_intermediate_size if moe else config.intermediate_size})
    if arch == 'gpt-oss':
        own['attention.sliding_window'] = config.sliding_window
    keys.update({f'{arch}.{k}': v for k, v in own.items()})
    return keys


LAYER_NAMES = {'input_layernorm.weight': 'attn_norm.weight', 'post_attention_layernorm.weight': 'ffn_norm.weight',
               'self_attn.sinks': 'attn_sinks.weight', 'mlp.gate.weight': 'ffn_gate_inp.weight',
               'mlp.router.weight': 'ffn_gate_inp.weight', 'mlp.router.bias': 'ffn_gate_inp.bias'}
for kind in ('weight', 'bias'):
    for ours, theirs in (('q', 'q_proj'), ('k', 'k_proj'), ('v', 'v_proj'), ('output', 'o_proj'), ('q_norm', 'q_norm'), ('k_norm', 'k_norm')):
        LAYER_NAMES[f'self_attn.{theirs}.{kind}'] = f'attn_{ours}.{kind}'
    for part in ('gate', 'up', 'down'):
        LAYER_NAMES[f'mlp.{part}_proj.{kind}'] = f'ffn_{part}.{kind}'


def expert_tensors(arch, name, w):
    """{experts, rows, cols} matrices and {experts, rows} biases of transformers' joined parameters."""
    part = name.removeprefix('mlp.experts.')
    suffix = 'bias' if part.endswith('bias') else 'weight'
    if arch == 'gpt-oss' and suffix == 'weight':
        w = w.transpose(1, 2)  # kept as {experts, cols, rows}
    if part.startswith('down'):
        return {f'ffn_down_exps.{suffix}': w}
    half = w.shape[1] // 2
    gate, up = (w[:, 0::2], w[:, 1::2]) if arch == 'gpt-oss' else (w[:, :half], w[:, half:])
    return {f'ffn_gate_exps.{suffix}': gate, f'ffn_up_exps.{suffix}': up}


def model_tensors(arch, model):
    config, found = model.config, {}
    for name, w in model.state_dict().items():
        if name == 'lm_head.weight':
            if not config.tie_word_embeddings:
                found['output.weight'] = w
            continue
        name = name.removeprefix('model.')
        if not name.startswith('layers.'):
            found[{'embed_tokens.weight': 'token_embd.weight', 'norm.weight': 'output_norm.weight'}[name]] = w
            continue
        _, layer, name = name.split('.', 2)
        if name.startswith('mlp.experts.'):
            found.update({f'blk.{layer}.{k}': v for k, v in expert_tensors(arch, name, w).items()})
            continue
        ours = LAYER_NAMES[name]
        if arch == 'gpt-oss':
            ours = ours.replace('ffn_norm', 'post_attention_norm')
        if arch == 'llama' and ours.startswith(('attn_q.', 'attn_k.')):
            w = interleaved(w, config.num_attention_heads if ours.startswith('attn_q') else config.num_key_value_heads)
        found[f'blk.{layer}.{ours}'] = w
    return found


def answer(model, tokens):
    """Logits {tokens, vocab} and the experts chosen, {moe layers, tokens, used}, ascending; none in dense models."""
    chosen, hooks = [], []
    for name, module in model.named_modules():
        if name.endswith(('mlp.gate', 'mlp.router')):
            hooks.append(module.register_forward_hook(
                lambda _, __, out: chosen.append(next(o for o in out if o.dtype == torch.int64).sort(-1).values)))
    with torch.no_grad():
        logits = model(tokens[None]).logits[0].float()
    for hook in hooks:
        hook.remove()
    return logits, torch.stack(chosen).int() if chosen else None


def in_bf16(model):
    """The model as it is loaded in bf16: the rotation's frequencies stay float32."""
    frequencies = model.model.rotary_emb.inv_freq.clone()
    model = model.bfloat16()
    model.model.rotary_emb.inv_freq = frequencies
    return model


def make(name, out):
    arch, cls, settings = CONFIGS[name]
    model = make_model(cls, settings, seed=1)
    config = model.config
    head = getattr(config, 'head_dim', None) or config.hidden_size // config.num_attention_heads
    tensors = model_tensors(arch, model)
    if config.rope_parameters['rope_type'] == 'llama3':
        tensors['rope_freqs.weight'] = llama3_divisors(config, head)
    write_gguf(out / f'{name}.gguf', model_keys(name, arch, config, head), tensors)
    tokens = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(7))
    logits, _ = answer(model, tokens)
    rounding, _ = answer(in_bf16(copy.deepcopy(model)), tokens)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16())
    bf16_logits, experts = answer(model, tokens)
    if arch != 'llama' or not config.to_dict().get('attention_bias'):  # a switch of Llama's that tern refuses in folders
        save_folder(model, out / name)
    dump = {'tokens': tokens.int(), 'logits': logits, 'bf16_logits': bf16_logits}
    if experts is not None:
        dump['bf16_experts'] = experts
    own = relative_error(rounding, bf16_logits)
    save_file({k: v.numpy() for k, v in dump.items()}, out / f'{name}.safetensors',
              metadata={'oracle': f'transformers {transformers.__version__}', 'torch': torch.__version__,
                        'bf16_activations_error': f'{own:.4f}', 'config': json.dumps(config.to_dict(), default=str)})
    print(f'{name}: {len(tensors)} tensors, logits of deviation {logits.std():.2f}; transformers in bf16 is off by {own:.4f}')


if __name__ == '__main__':
    main(__doc__, CONFIGS, make)
