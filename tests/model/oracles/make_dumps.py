#!/usr/bin/env python3
"""Writes tiny random deepseek2 models and their reference logits: NAME.gguf and NAME.safetensors (tokens, logits); and the
same models with their weights in bf16 as transformers saves them: NAME/, a Hugging Face folder.

usage: make_dumps.py [--only NAME] OUT_DIR        (needs transformers==5.23.0, torch==2.13.0, safetensors, numpy)

The oracle is transformers where it can express the configuration. Where it can't (softmax renormalised, groups without
a selection bias, biased scores below zero, another epsilon in the inner norms) it is `paper_logits` below: DeepSeek-V2
and V3 written out from their papers in float64. Every transformers dump is also held against `paper_logits`. The draft
head (multi-token prediction), which transformers leaves out, is `draft_logits`, after DeepSeek-V3's section 2.2; in the
folder it stands as DeepSeek publishes it, its copies of the embedding and the head included.
"""
import json, math

import safetensors.torch
import torch
import transformers
from safetensors.numpy import save_file

from common import main, relative_error, save_folder, write_gguf

TOKENS = 41  # one page of the cache and a piece of the next

# ---- configurations: each differs from BASE in what it is named after

BASE = dict(family='v3', hidden=32, layers=2, heads=2, q_rank=24, kv_rank=16, nope=8, rope=8, v=8, dense_layers=1, dense_ff=32,
            experts=8, used=3, groups=4, groups_used=2, expert_ff=8, shared=1, score='sigmoid', bias=True, normalise=True,
            scale=2.5, tied=False, split=True, rope_type='none', eps=1e-6, context=512, theta=10000.0,
            draft=False, tokenizer=False)  # with one, llama.cpp loads the file

YARN_V3 = dict(rope_type='yarn', factor=8.0, original=64, mscale=1.0)
YARN_V2 = dict(rope_type='yarn', factor=40.0, original=4096, mscale=0.707)

CONFIGS = {
    # transformers
    'v3': dict(tokenizer=True),
    'v3_no_q_rank_yarn': dict(tokenizer=True, q_rank=0, groups=1, groups_used=1, dense_layers=0, shared=2, tied=True, split=False,
                              **YARN_V3),
    'v3_dense2_linear': dict(layers=3, dense_layers=2, normalise=False, scale=1.0, rope_type='linear', factor=4.0),
    'v2_greedy_yarn': dict(family='v2', q_rank=0, groups=1, groups_used=1, score='softmax', bias=False, normalise=False,
                           scale=1.0, shared=2, split=False, **YARN_V2),
    'v2_groups': dict(tokenizer=True, family='v2', score='softmax', bias=False, normalise=False, scale=16.0, dense_layers=0,
                      tied=True),
    'v3_draft': dict(draft=True, **YARN_V3),
    'glm4_lite': dict(family='glm', layers=3, groups=1, groups_used=1, scale=1.8),
    # the papers alone
    'paper_softmax_normalised': dict(oracle='paper', score='softmax', bias=False, groups=1, groups_used=1, scale=1.0, eps=1e-5),
    'paper_sigmoid_group_max': dict(oracle='paper', bias=False, heads=3, v=12, nope=16, eps=1e-5, **YARN_V2),
    'paper_negative_bias': dict(oracle='paper', bias='negative', experts=12, groups=3, groups_used=1, eps=1e-4),
}


# ---- the papers in float64

def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rope_angles(c, n):
    """Angles {n, rope / 2}, YaRN and linear scaling included."""
    pair = torch.arange(c['rope'] // 2, dtype=torch.float64)
    frequency = c['theta'] ** (-2 * pair / c['rope'])
    if c['rope_type'] == 'linear':
        frequency = frequency / c['factor']
    if c['rope_type'] == 'yarn':
        def turns(r):
            return c['rope'] * math.log(c['original'] / (r * 2 * math.pi)) / (2 * math.log(c['theta']))
        low, high = max(math.floor(turns(32)), 0), min(math.ceil(turns(1)), c['rope'] - 1)
        ramp = ((pair - low) / max(0.001, high - low)).clamp(0, 1)
        frequency = frequency * (1 - ramp) + frequency / c['factor'] * ramp
    return torch.arange(n, dtype=torch.float64)[:, None] * frequency


def rotate(x, angles):
    """x {..., n, rope}: the pairs (x[2i], x[2i+1]) turned by angles {n, rope / 2}."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)


def softmax_scale(c):
    scale = (c['nope'] + c['rope']) ** -0.5
    if c['rope_type'] == 'yarn':
        scale *= (0.1 * c['mscale'] * math.log(c['factor']) + 1) ** 2
    return scale


def attention(c, w, x):
    n, heads, nope, rank = x.shape[0], c['heads'], c['nope'], c['kv_rank']
    if c['q_rank']:
        q = rms_norm(x @ w['q_a'].T, w['q_a_norm'], c['eps']) @ w['q_b'].T
    else:
        q = x @ w['q'].T
    q = q.view(n, heads, -1).transpose(0, 1)
    latent = x @ w['kv_a'].T
    angles = rope_angles(c, n)
    k_pe = rotate(latent[:, rank:], angles)
    kv = (rms_norm(latent[:, :rank], w['kv_a_norm'], c['eps']) @ w['kv_b'].T).view(n, heads, -1).transpose(0, 1)
    q = torch.cat([q[..., :nope], rotate(q[..., nope:], angles)], -1)
    k = torch.cat([kv[..., :nope], k_pe.expand(heads, -1, -1)], -1)
    scores = q @ k.transpose(1, 2) * softmax_scale(c)
    scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -math.inf)
    out = scores.softmax(-1) @ kv[..., nope:]
    return out.transpose(0, 1).reshape(n, -1) @ w['o'].T


def gated(x, gate, up, down):
    return (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T


def choose(c, w, x):
    """Experts and weights {n, used} of each token, and the smallest margin of a choice."""
    logits = x @ w['gate'].T
    s = logits.softmax(-1) if c['score'] == 'softmax' else logits.sigmoid()
    choice = s + w['bias'] if c['bias'] else s
    margin = math.inf
    if c['groups'] > 1:
        grouped = choice.view(len(x), c['groups'], -1)
        score = grouped.topk(2).values.sum(-1) if c['bias'] else grouped.max(-1).values
        best = score.topk(c['groups']).values
        margin = (best[:, c['groups_used'] - 1] - best[:, c['groups_used']]).min().item()
        keep = torch.zeros_like(score, dtype=torch.bool).scatter(1, score.topk(c['groups_used']).indices, True)
        choice = grouped.masked_fill(~keep[..., None], -math.inf).flatten(1)
    best, experts = choice.topk(c['used'] + 1)
    margin = min(margin, (best[:, -2] - best[:, -1]).min().item())
    experts = experts[:, :-1]
    weights = s.gather(1, experts)
    if c['normalise']:
        weights = weights / weights.sum(-1, keepdim=True)
    return experts, weights * c['scale'], margin


def moe(c, w, x, routes):
    experts, weights, margin = choose(c, w, x)
    routes.append(experts.sort(-1).values)
    y = gated(x, w['shared_gate'], w['shared_up'], w['shared_down'])
    rows = [sum(weights[t, k] * gated(x[t], w['gates'][e], w['ups'][e], w['downs'][e])
                for k, e in enumerate(experts[t].tolist())) for t in range(len(x))]
    return y + torch.stack(rows), margin


def layer_weights(w, i):
    return {k.split('.', 1)[1]: v for k, v in w.items() if k.startswith(f'{i}.')}


def block(c, layer, x, dense, routes):
    """One layer, and the smallest margin of its router's choices, which go to `routes`."""
    x = x + attention(c, layer, rms_norm(x, layer['attn_norm'], c['eps']))
    h = rms_norm(x, layer['ffn_norm'], c['eps'])
    if dense:
        return x + gated(h, layer['ff_gate'], layer['ff_up'], layer['ff_down']), math.inf
    y, margin = moe(c, layer, h, routes)
    return x + y, margin


def paper_states(c, w, tokens, routes):
    """What the head reads, {n, hidden}."""
    x, margin = w['embed'][tokens], math.inf
    for i in range(c['layers']):
        x, least = block(c, layer_weights(w, i), x, i < c['dense_layers'], routes)
        margin = min(margin, least)
    return rms_norm(x, w['norm'], c['eps']), margin


def head(c, w, states):
    return states @ (w['embed'] if c['tied'] else w['output']).T


def paper_logits(c, weights, tokens):
    """Logits, the smallest margin of a choice, and the experts chosen {moe layers, tokens, used}, ascending."""
    w, routes = {k: v.double() for k, v in weights.items()}, []
    states, margin = paper_states(c, w, tokens, routes)
    return head(c, w, states), margin, torch.stack(routes)


def draft_logits(c, weights, tokens):
    """{n - 1, vocab}: at each position but the last, from its state and the next token, the token after that."""
    w = {k: v.double() for k, v in weights.items()}
    layer = layer_weights(w, c['layers'])
    states, _ = paper_states(c, w, tokens, [])
    joined = torch.cat([rms_norm(w['embed'][tokens[1:]], layer['enorm'], c['eps']),
                        rms_norm(states[:-1], layer['hnorm'], c['eps'])], -1)
    x, margin = block(c, layer, joined @ layer['join'].T, False, [])
    return head(c, w, rms_norm(x, layer['head_norm'], c['eps'])), margin


# ---- random weights, under names of our own

def make_weights(c, seed, vocab):
    generator = torch.Generator().manual_seed(seed)
    def matrix(*dims):
        return torch.randn(*dims, generator=generator) * (1.4 / math.sqrt(dims[-1]))
    def norm(n):
        return 1 + 0.2 * torch.randn(n, generator=generator)
    d, heads = c['hidden'], c['heads']
    w = {'embed': torch.randn(vocab, d, generator=generator), 'norm': norm(d)}
    if not c['tied']:
        w['output'] = matrix(vocab, d)
    for i in range(c['layers'] + c['draft']):
        l = {'attn_norm': norm(d), 'ffn_norm': norm(d), 'kv_a': matrix(c['kv_rank'] + c['rope'], d),
             'kv_a_norm': norm(c['kv_rank']), 'kv_b': matrix(heads * (c['nope'] + c['v']), c['kv_rank']), 'o': matrix(d, heads * c['v'])}
        q_width = heads * (c['nope'] + c['rope'])
        if c['q_rank']:
            l.update(q_a=matrix(c['q_rank'], d), q_a_norm=norm(c['q_rank']), q_b=matrix(q_width, c['q_rank']))
        else:
            l['q'] = matrix(q_width, d)
        if i < c['dense_layers']:
            l.update(ff_gate=matrix(c['dense_ff'], d), ff_up=matrix(c['dense_ff'], d), ff_down=matrix(d, c['dense_ff']))
        else:
            e, ff, shared = c['experts'], c['expert_ff'], c['expert_ff'] * c['shared']
            l.update(gate=matrix(e, d), gates=matrix(e, ff, d), ups=matrix(e, ff, d), downs=matrix(e, d, ff),
                     shared_gate=matrix(shared, d), shared_up=matrix(shared, d), shared_down=matrix(d, shared))
            if c['bias']:
                shift = -1.5 if c['bias'] == 'negative' else 0.0
                l['bias'] = 0.4 * torch.rand(e, generator=generator) + shift
        if i == c['layers']:
            l.update(enorm=norm(d), hnorm=norm(d), join=matrix(d, 2 * d), head_norm=norm(d))
        w.update({f'{i}.{k}': v for k, v in l.items()})
    return w


# ---- transformers

def rope_parameters(c):
    p = {'rope_theta': c['theta'], 'rope_type': 'default' if c['rope_type'] == 'none' else c['rope_type']}
    if c['rope_type'] != 'none':
        p['factor'] = c['factor']
    if c['rope_type'] == 'yarn':
        p.update(original_max_position_embeddings=c['original'], beta_fast=32, beta_slow=1, mscale=c['mscale'],
                 mscale_all_dim=c['mscale'])
    return p


def transformers_model(c, vocab):
    common = dict(vocab_size=vocab, hidden_size=c['hidden'], intermediate_size=c['dense_ff'], num_hidden_layers=c['layers'],
                  moe_intermediate_size=c['expert_ff'], num_attention_heads=c['heads'], num_key_value_heads=c['heads'],
                  n_shared_experts=c['shared'], n_routed_experts=c['experts'], routed_scaling_factor=c['scale'],
                  kv_lora_rank=c['kv_rank'], q_lora_rank=c['q_rank'] or None, qk_rope_head_dim=c['rope'], v_head_dim=c['v'],
                  qk_nope_head_dim=c['nope'], n_group=c['groups'], topk_group=c['groups_used'], num_experts_per_tok=c['used'],
                  first_k_dense_replace=c['dense_layers'], norm_topk_prob=c['normalise'], tie_word_embeddings=c['tied'],
                  max_position_embeddings=c['context'], rms_norm_eps=c['eps'], rope_parameters=rope_parameters(c),
                  attn_implementation='eager')
    if c['family'] == 'v2':
        method = 'group_limited_greedy' if c['groups'] > 1 else 'greedy'
        config = transformers.DeepseekV2Config(topk_method=method, **common)
        return transformers.DeepseekV2ForCausalLM(config).float().eval()
    if c['family'] == 'glm':
        kinds = ['dense' if i < c['dense_layers'] else 'sparse' for i in range(c['layers'])]
        del common['first_k_dense_replace']  # not a key of its own
        config = transformers.Glm4MoeLiteConfig(mlp_layer_types=kinds, **common)
        return transformers.Glm4MoeLiteForCausalLM(config).float().eval()
    config = transformers.DeepseekV3Config(num_mtp_layers=0, **common)
    return transformers.DeepseekV3ForCausalLM(config).float().eval()


HF_NAMES = {'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm', 'q': 'self_attn.q_proj',
            'q_a': 'self_attn.q_a_proj', 'q_a_norm': 'self_attn.q_a_layernorm', 'q_b': 'self_attn.q_b_proj',
            'kv_a': 'self_attn.kv_a_proj_with_mqa', 'kv_a_norm': 'self_attn.kv_a_layernorm', 'kv_b': 'self_attn.kv_b_proj',
            'o': 'self_attn.o_proj', 'ff_gate': 'mlp.gate_proj', 'ff_up': 'mlp.up_proj', 'ff_down': 'mlp.down_proj',
            'gate': 'mlp.gate', 'shared_gate': 'mlp.shared_experts.gate_proj', 'shared_up': 'mlp.shared_experts.up_proj',
            'shared_down': 'mlp.shared_experts.down_proj'}


def layer_state(c, w, i):
    """One layer under transformers' names."""
    p = f'model.layers.{i}.'
    state = {p + hf + '.weight': w[f'{i}.{name}'] for name, hf in HF_NAMES.items() if f'{i}.{name}' in w}
    if i >= c['dense_layers']:
        state[p + 'mlp.experts.gate_up_proj'] = torch.cat([w[f'{i}.gates'], w[f'{i}.ups']], 1)
        state[p + 'mlp.experts.down_proj'] = w[f'{i}.downs']
        if c['bias']:
            state[p + 'mlp.gate.e_score_correction_bias'] = w[f'{i}.bias']
    return state


def filled_model(c, w, vocab):
    """transformers' model with the weights w."""
    model = transformers_model(c, vocab)
    state = {'model.embed_tokens.weight': w['embed'], 'model.norm.weight': w['norm'],
             'lm_head.weight': w['embed'] if c['tied'] else w['output']}
    for i in range(c['layers']):
        state.update(layer_state(c, w, i))
    model.load_state_dict(state, strict=True)
    return model


def add_draft(c, w, folder):
    """Puts the draft layer into a folder that transformers has saved without it."""
    p = f'model.layers.{c["layers"]}.'
    own = {'eh_proj': 'join', 'enorm': 'enorm', 'hnorm': 'hnorm', 'shared_head.norm': 'head_norm'}
    draft = {**layer_state(c, w, c['layers']), **{f'{p}{hf}.weight': w[f'{c["layers"]}.{n}'] for hf, n in own.items()},
             p + 'embed_tokens.weight': w['embed'], p + 'shared_head.head.weight': w['output']}
    path = folder / 'model.safetensors'
    state = safetensors.torch.load_file(path) | {name: t.bfloat16() for name, t in draft.items()}
    safetensors.torch.save_file(state, path, metadata={'format': 'pt'})
    config = json.loads((folder / 'config.json').read_text()) | {'num_nextn_predict_layers': 1}
    (folder / 'config.json').write_text(json.dumps(config, indent=2) + '\n')


def transformers_logits(c, w, tokens, vocab):
    with torch.no_grad():
        return filled_model(c, w, vocab)(tokens[None]).logits[0]


# ---- GGUF

def tokenizer_keys():
    """A byte-level vocabulary of 264 that llama.cpp loads: the bytes, two merges, six special tokens."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    other = [b for b in range(256) if b not in printable]
    tokens = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(other))]
    tokens += ['he', 'th', '<|begin|>', '<|end|>', '<|user|>', '<|assistant|>', '<think>', '</think>']
    kinds = [1] * 258 + [3] * 4 + [4] * 2
    return {'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'gpt-2', 'tokenizer.ggml.tokens': tokens,
            'tokenizer.ggml.token_type': kinds, 'tokenizer.ggml.merges': ['h e', 't h'], 'tokenizer.ggml.bos_token_id': 258,
            'tokenizer.ggml.eos_token_id': 259, 'tokenizer.ggml.add_bos_token': False}, len(tokens)


def model_keys(name, c):
    own = {'context_length': c['context'], 'embedding_length': c['hidden'], 'block_count': c['layers'] + c['draft'],
           'feed_forward_length': c['dense_ff'], 'leading_dense_block_count': c['dense_layers'],
           'attention.head_count': c['heads'], 'attention.q_lora_rank': c['q_rank'], 'attention.kv_lora_rank': c['kv_rank'],
           'rope.dimension_count': c['rope'], 'expert_count': c['experts'], 'expert_used_count': c['used'],
           'expert_shared_count': c['shared'], 'expert_feed_forward_length': c['expert_ff'],
           'expert_gating_func': 2 if c['score'] == 'sigmoid' else 1}
    qk = c['nope'] + c['rope']
    if c['split']:
        own.update({'attention.head_count_kv': 1, 'attention.key_length': c['kv_rank'] + c['rope'],
                    'attention.value_length': c['kv_rank'], 'attention.key_length_mla': qk, 'attention.value_length_mla': c['v']})
    else:
        own.update({'attention.head_count_kv': c['heads'], 'attention.key_length': qk, 'attention.value_length': c['v']})
    if c['draft']:
        own['nextn_predict_layers'] = 1
    if c['groups'] > 1:
        own.update({'expert_group_count': c['groups'], 'expert_group_used_count': c['groups_used']})
    own.update({'expert_weights_norm': c['normalise'], 'expert_weights_scale': c['scale'],
                'attention.layer_norm_rms_epsilon': c['eps'], 'rope.freq_base': c['theta']})
    if c['rope_type'] != 'none':
        own.update({'rope.scaling.type': c['rope_type'], 'rope.scaling.factor': c['factor']})
    if c['rope_type'] == 'yarn':
        own.update({'rope.scaling.original_context_length': c['original'], 'rope.scaling.yarn_log_multiplier': 0.1 * c['mscale']})
    return {'general.architecture': 'deepseek2', 'general.name': f'{name} (tiny, random weights)',
            **{f'deepseek2.{k}': v for k, v in own.items()}}


GGUF_NAMES = {'attn_norm': 'attn_norm', 'ffn_norm': 'ffn_norm', 'q': 'attn_q', 'q_a': 'attn_q_a', 'q_a_norm': 'attn_q_a_norm',
              'q_b': 'attn_q_b', 'kv_a': 'attn_kv_a_mqa', 'kv_a_norm': 'attn_kv_a_norm', 'o': 'attn_output',
              'ff_gate': 'ffn_gate', 'ff_up': 'ffn_up', 'ff_down': 'ffn_down', 'gate': 'ffn_gate_inp', 'gates': 'ffn_gate_exps', 'ups': 'ffn_up_exps',
              'downs': 'ffn_down_exps', 'shared_gate': 'ffn_gate_shexp', 'shared_up': 'ffn_up_shexp',
              'shared_down': 'ffn_down_shexp', 'enorm': 'nextn.enorm', 'hnorm': 'nextn.hnorm', 'join': 'nextn.eh_proj',
              'head_norm': 'nextn.shared_head_norm'}


def model_tensors(c, w):
    tensors = {'token_embd.weight': w['embed'], 'output_norm.weight': w['norm']}
    if not c['tied']:
        tensors['output.weight'] = w['output']
    for i in range(c['layers'] + c['draft']):
        tensors.update({f'blk.{i}.{gguf}.weight': w[f'{i}.{n}'] for n, gguf in GGUF_NAMES.items() if f'{i}.{n}' in w})
        if f'{i}.bias' in w:
            tensors[f'blk.{i}.exp_probs_b.bias'] = w[f'{i}.bias']
        kv_b = w[f'{i}.kv_b']
        if not c['split']:
            tensors[f'blk.{i}.attn_kv_b.weight'] = kv_b
            continue
        heads = kv_b.view(c['heads'], c['nope'] + c['v'], c['kv_rank'])
        tensors[f'blk.{i}.attn_k_b.weight'] = heads[:, :c['nope']].transpose(1, 2)
        tensors[f'blk.{i}.attn_v_b.weight'] = heads[:, c['nope']:]
    return tensors


# ---- main

def make(name, out):
    c = {**BASE, **CONFIGS[name]}
    tokenizer, vocab = tokenizer_keys() if c['tokenizer'] else ({}, 64)
    tokens = torch.randint(0, vocab, (TOKENS,), generator=torch.Generator().manual_seed(7))
    for seed in range(1, 1000):
        weights = make_weights(c, seed, vocab)
        rounded = {k: v.bfloat16().float() for k, v in weights.items()}
        paper, margin, _ = paper_logits(c, weights, tokens)
        paper16, margin16, experts = paper_logits(c, rounded, tokens)
        if c['draft']:
            draft, least = draft_logits(c, weights, tokens)
            margin = min(margin, least)
        if min(margin, margin16) > 1e-3:  # no choice of experts hangs on rounding
            break
    else:
        raise SystemExit(f'{name}: no seed without near ties')
    logits, logits16, oracle = paper, paper16, 'paper_logits in make_dumps.py'
    if c.get('oracle') != 'paper':
        logits, oracle = transformers_logits(c, weights, tokens, vocab), f'transformers {transformers.__version__}'
        logits16 = transformers_logits(c, rounded, tokens, vocab)
        error = max(relative_error(logits, paper), relative_error(logits16, paper16))
        assert error < 2e-6, (name, error)
        save_folder(filled_model(c, rounded, vocab), out / name)
    write_gguf(out / f'{name}.gguf', {**model_keys(name, c), **tokenizer}, model_tensors(c, weights))
    # Beside the logits, those of the same weights rounded to bf16 (computed in float32), and the experts they choose.
    dump = {'tokens': tokens.numpy().astype('<i4'), 'logits': logits.float().numpy(),
            'bf16_logits': logits16.float().numpy(), 'bf16_experts': experts.numpy().astype('<i4')}
    if c['draft']:
        draft16, least = draft_logits(c, rounded, tokens)
        assert least > 1e-3, (name, least)
        dump.update(draft_logits=draft.float().numpy(), bf16_draft_logits=draft16.float().numpy())
        add_draft(c, rounded, out / name)
    save_file(dump, out / f'{name}.safetensors',
              metadata={'oracle': oracle, 'torch': torch.__version__, 'config': json.dumps(c)})
    print(f'{name}: seed {seed}, margin {margin:.4f}, oracle {oracle}')


if __name__ == '__main__':
    main(__doc__, CONFIGS, make)
