#!/usr/bin/env python3
"""What transformers thinks of the embedded model's and its dense twin's own kind of text: perplexity.safetensors.

usage: make_perplexity.py TERN OUT_DIR     (needs transformers==5.23.0, torch==2.13.0, safetensors, numpy)

The text: dev queries of the search task with their right thinking and answers, in the models' chat format. The models:
models/search.gguf and models/search-dense.gguf with their Q8_0 weights as float32. Written: tokens {n}, the sequences'
lengths {sequences}, and each token's negative log-likelihood given those before it in its sequence (0 for the first),
for either model {n}.
"""
import json, pathlib, subprocess, sys, tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

import make_dumps
from common import gguf_file
from make_family_dumps import interleaved

ROOT = pathlib.Path(__file__).resolve().parents[3]
QUERIES = 64


def read(path):
    """(numbers and switches by key without the architecture, float32 tensors with the contiguous axis last)."""
    keys, tensors = gguf_file.read(path)
    kinds = {gguf_file.U32: '<u4', gguf_file.F32: '<f4', gguf_file.BOOL: '?'}
    numbers = {k.split('.', 1)[1]: np.frombuffer(raw, kinds[kind])[0].item() for k, (kind, raw) in keys.items() if kind in kinds}
    found = {name: torch.tensor(gguf_file.decode(raw, kind).reshape(dims[::-1])) for name, (dims, kind, raw) in tensors.items()}
    return numbers, found


def sparse_model(path):
    k, t = read(path)
    c = dict(make_dumps.BASE, hidden=k['embedding_length'], layers=k['block_count'], heads=k['attention.head_count'],
             q_rank=k['attention.q_lora_rank'], kv_rank=k['attention.kv_lora_rank'], rope=k['rope.dimension_count'],
             nope=k['attention.key_length_mla'] - k['rope.dimension_count'], v=k['attention.value_length_mla'],
             dense_layers=k['leading_dense_block_count'], dense_ff=k['feed_forward_length'], experts=k['expert_count'],
             used=k['expert_used_count'], groups=k.get('expert_group_count', 1), groups_used=k.get('expert_group_used_count', 1),
             expert_ff=k['expert_feed_forward_length'], shared=k['expert_shared_count'], normalise=k['expert_weights_norm'],
             scale=k['expert_weights_scale'], eps=k['attention.layer_norm_rms_epsilon'], theta=k['rope.freq_base'],
             context=k['context_length'], tied='output.weight' not in t)
    assert k['expert_gating_func'] == 2
    ours = {gguf: name for name, gguf in make_dumps.GGUF_NAMES.items()}
    w = {'embed': t['token_embd.weight'], 'norm': t['output_norm.weight'], 'output': t.get('output.weight')}
    for name, value in t.items():
        if not name.startswith('blk.'):
            continue
        _, i, part, _ = name.split('.')
        if part == 'exp_probs_b':
            w[f'{i}.bias'] = value
        elif part == 'attn_k_b':  # {heads, rank, nope}
            joined = torch.cat([value.transpose(1, 2), t[f'blk.{i}.attn_v_b.weight']], 1)
            w[f'{i}.kv_b'] = joined.reshape(-1, c['kv_rank'])
        elif part != 'attn_v_b':
            w[f'{i}.{ours[part]}'] = value
    return make_dumps.filled_model(c, w, len(w['embed']))


def dense_model(path):
    k, t = read(path)
    heads, kv_heads = k['attention.head_count'], k['attention.head_count_kv']
    config = transformers.LlamaConfig(
        vocab_size=len(t['token_embd.weight']), hidden_size=k['embedding_length'], intermediate_size=k['feed_forward_length'],
        num_hidden_layers=k['block_count'], num_attention_heads=heads, num_key_value_heads=kv_heads,
        head_dim=k['rope.dimension_count'], max_position_embeddings=k['context_length'],
        rms_norm_eps=k['attention.layer_norm_rms_epsilon'], tie_word_embeddings='output.weight' not in t,
        rope_parameters={'rope_type': 'default', 'rope_theta': k['rope.freq_base']}, attn_implementation='eager')
    names = {'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm', 'attn_q': 'self_attn.q_proj',
             'attn_k': 'self_attn.k_proj', 'attn_v': 'self_attn.v_proj', 'attn_output': 'self_attn.o_proj',
             'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj', 'ffn_down': 'mlp.down_proj'}
    state = {'model.embed_tokens.weight': t['token_embd.weight'], 'model.norm.weight': t['output_norm.weight'],
             'lm_head.weight': t.get('output.weight', t['token_embd.weight'])}
    for name, value in t.items():
        if not name.startswith('blk.'):
            continue
        _, i, part, _ = name.split('.')
        if part in ('attn_q', 'attn_k'):  # back from neighbours to halves
            rows = torch.arange(len(value))
            value = value[torch.argsort(interleaved(rows, heads if part == 'attn_q' else kv_heads))]
        state[f'model.layers.{i}.{names[part]}.weight'] = value
    model = transformers.LlamaForCausalLM(config).float().eval()
    model.load_state_dict(state, strict=True)
    return model


def sequences(tern):
    """Token ids of each example."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'examples.jsonl'
        subprocess.run([tern, 'eval', 'search', '--n', str(QUERIES), '--export', path], check=True, stdout=subprocess.DEVNULL)
        examples = [json.loads(line) for line in path.read_text().splitlines()]
    for e in examples:
        thinking, answer = '\n'.join(e['thinking']), json.dumps(e['answer'], separators=(',', ':'), ensure_ascii=False)
        text = f"<|begin|><|user|>{e['query']}<|assistant|><think>{thinking}</think>{answer}<|end|>"
        ids = subprocess.run([tern, 'tokenize', '--parse-special', '--json'], input=text.encode(), check=True, capture_output=True)
        yield json.loads(ids.stdout)


def likelihoods(model, tokens):
    with torch.no_grad():
        logprobs = model(torch.tensor(tokens)[None]).logits[0].double().log_softmax(-1)
    own = logprobs[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
    return np.concatenate([[0.0], -own.numpy()])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    texts = list(sequences(sys.argv[1]))
    dump = {'tokens': np.concatenate(texts).astype('<i4'), 'lengths': np.array([len(t) for t in texts], '<i4')}
    for name, model in (('search', sparse_model(ROOT / 'models/search.gguf')), ('search-dense', dense_model(ROOT / 'models/search-dense.gguf'))):
        dump[name] = np.concatenate([likelihoods(model, t) for t in texts]).astype('<f4')
        mean = dump[name].sum() / (len(dump['tokens']) - len(texts))
        print(f'{name}: {len(dump["tokens"])} tokens, perplexity {np.exp(mean):.5f}')
    save_file(dump, pathlib.Path(sys.argv[2]) / 'perplexity.safetensors', metadata={'oracle': f'transformers {transformers.__version__}'})


if __name__ == '__main__':
    main()
