"""Hugging Face folders of the shapes of llama_file and deepseek2_file, as `tern convert` reads them. Needs numpy."""
import json, struct

import numpy as np

import deepseek2_file, llama_file

ARCHITECTURES = {'llama': 'LlamaForCausalLM', 'qwen2': 'Qwen2ForCausalLM', 'qwen3': 'Qwen3ForCausalLM', 'qwen3moe': 'Qwen3MoeForCausalLM',
                 'gpt-oss': 'GptOssForCausalLM'}

# GGUF's name of a tensor -> a checkpoint's, whose layers are model.layers.N
NAMES = {
    'token_embd': 'model.embed_tokens', 'output_norm': 'model.norm', 'output': 'lm_head',
    'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm', 'post_attention_norm': 'post_attention_layernorm',
    'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj', 'attn_v': 'self_attn.v_proj', 'attn_output': 'self_attn.o_proj',
    'attn_q_norm': 'self_attn.q_norm', 'attn_k_norm': 'self_attn.k_norm', 'attn_sinks': 'self_attn.sinks',
    'attn_q_a': 'self_attn.q_a_proj', 'attn_q_a_norm': 'self_attn.q_a_layernorm', 'attn_q_b': 'self_attn.q_b_proj',
    'attn_kv_a_mqa': 'self_attn.kv_a_proj_with_mqa', 'attn_kv_a_norm': 'self_attn.kv_a_layernorm', 'attn_kv_b': 'self_attn.kv_b_proj',
    'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj', 'ffn_down': 'mlp.down_proj', 'ffn_gate_inp': 'mlp.gate',
    'ffn_gate_shexp': 'mlp.shared_experts.gate_proj', 'ffn_up_shexp': 'mlp.shared_experts.up_proj',
    'ffn_down_shexp': 'mlp.shared_experts.down_proj',
    'nextn.eh_proj': 'eh_proj', 'nextn.enorm': 'enorm', 'nextn.hnorm': 'hnorm', 'nextn.shared_head_norm': 'shared_head.norm',
    'ffn_gate_exps': 'mlp.experts.{}.gate_proj', 'ffn_up_exps': 'mlp.experts.{}.up_proj', 'ffn_down_exps': 'mlp.experts.{}.down_proj'}
WHOLE_NAMES = {'attn_sinks.weight': 'self_attn.sinks', 'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias'}


def config(s, vocab):
    found = {'hidden_size': s.hidden, 'num_hidden_layers': s.layers, 'num_attention_heads': s.heads, 'vocab_size': vocab,
             'max_position_embeddings': s.context, 'rms_norm_eps': 1e-6, 'hidden_act': 'silu', 'tie_word_embeddings': s.tied}
    return found | (deepseek_config(s) if isinstance(s, deepseek2_file.Shape) else llama_config(s))


def llama_config(s):
    found = {'architectures': [ARCHITECTURES[s.arch]], 'intermediate_size': s.ff, 'num_key_value_heads': s.kv_heads, 'head_dim': s.head,
             'rope_theta': s.theta, 'attention_bias': s.biased}
    if s.divisors:
        found['rope_scaling'] = {'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
                                 'original_max_position_embeddings': 64}
    if s.yarn:
        found['rope_scaling'] = {'rope_type': 'yarn', 'factor': s.yarn, 'original_max_position_embeddings': 64}
    if s.experts:
        found |= {'num_local_experts': s.experts, 'num_experts_per_tok': s.used, 'moe_intermediate_size': s.ff, 'norm_topk_prob': True}
    if s.window:
        found['sliding_window'] = s.window
    return found


def deepseek_config(s):
    found = {'architectures': [f'DeepseekV{3 if s.sigmoid else 2}ForCausalLM'], 'intermediate_size': s.dense_ff, 'num_key_value_heads': s.heads,
             'q_lora_rank': s.q_rank or None, 'kv_lora_rank': s.kv_rank, 'qk_nope_head_dim': s.nope, 'qk_rope_head_dim': s.rope,
             'v_head_dim': s.v, 'first_k_dense_replace': s.dense_layers, 'n_routed_experts': s.experts, 'num_experts_per_tok': s.used,
             'n_shared_experts': s.shared, 'moe_intermediate_size': s.expert_ff, 'n_group': s.groups, 'topk_group': s.groups_used,
             'scoring_func': 'sigmoid' if s.sigmoid else 'softmax', 'topk_method': 'noaux_tc' if s.bias else 'greedy',
             'norm_topk_prob': s.normalise, 'routed_scaling_factor': s.scale, 'num_nextn_predict_layers': s.drafts}
    if s.yarn:
        m = s.yarn_log_multiplier / 0.1
        found['rope_scaling'] = {'type': 'yarn', 'factor': s.yarn, 'original_max_position_embeddings': s.yarn_original, 'mscale': m,
                                 'mscale_all_dim': m}
    return found


def checkpoint_name(s, name):
    layer = ''
    if name.startswith('blk.'):
        _, number, name = name.split('.', 2)
        layer = f'model.layers.{number}.'
    if name in WHOLE_NAMES:
        return layer + WHOLE_NAMES[name]
    part, kind = name.rsplit('.', 1)
    found = 'mlp.router' if part == 'ffn_gate_inp' and getattr(s, 'arch', '') == 'gpt-oss' else NAMES[part]
    return f'{layer}{found}.{kind}'


def gpt_oss_experts(s, rng, layer):
    """Experts in blocks of MXFP4: 32 numbers of four bits, and a power of two."""
    prefix = f'model.layers.{layer}.mlp.experts.'
    for part, rows, cols in (('gate_up_proj', 2 * s.ff, s.hidden), ('down_proj', s.hidden, s.ff)):
        yield f'{prefix}{part}_blocks', rng.integers(0, 256, (s.experts, rows, cols // 32, 16), np.uint8)
        yield f'{prefix}{part}_scales', rng.integers(121, 124, (s.experts, rows, cols // 32), np.uint8)
        yield f'{prefix}{part}_bias', rng.uniform(0, 0.3, (s.experts, rows)).astype('<f4')


def tensors(s, rng, tensors_of_gguf, values_of):
    """(checkpoint's name, array) of every tensor; values_of(name, dims) as in GGUF."""
    for name, dims, _ in tensors_of_gguf:
        if name == 'rope_freqs.weight' or (getattr(s, 'arch', '') == 'gpt-oss' and '_exps.' in name):
            continue
        values = np.asarray(values_of(name, dims), '<f4').reshape(dims[::-1])
        hf = checkpoint_name(s, name)
        yield from ((hf.format(e), values[e]) for e in range(s.experts)) if '_exps.' in name else [(hf, values)]
    if getattr(s, 'arch', '') == 'gpt-oss':
        for layer in range(s.layers):
            yield from gpt_oss_experts(s, rng, layer)


def write_safetensors(path, named):
    header, at = {}, 0
    for name, array in named:
        header[name] = {'dtype': {'f': 'F32', 'u': 'U8'}[array.dtype.kind], 'shape': list(array.shape), 'data_offsets': [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text)
        for _, array in named:
            file.write(np.ascontiguousarray(array).tobytes())


def write(folder, s, tokenizer, values_of):
    """The folder of shape `s`; `tokenizer` as hf_tokenizer makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    names, text, ends = tokenizer
    family = deepseek2_file if isinstance(s, deepseek2_file.Shape) else llama_file
    for file, content in (('config', config(s, len(names))), ('tokenizer', text), ('tokenizer_config', ends)):
        (folder / f'{file}.json').write_text(json.dumps(content))
    rng = np.random.default_rng(2)
    write_safetensors(folder / 'model.safetensors', list(tensors(s, rng, family.tensors(s, len(names), 'F32'), values_of)))
