#!/usr/bin/env python3
"""Models of real widths, cut to a few layers, in the types that tern runs: do all its ways agree, and is the memory as told?

usage: real_shapes.py TERN MODEL.gguf FOLDER [NAME ...]       needs numpy and, one at a time, 5 GiB of disk and 6 of memory

Writes files with random weights and the tokenizer of MODEL.gguf into FOLDER, one at a time, and takes them away again.
NAME: of the files below, such as v2-lite-q8_0 (default: all). Of each file:
  instruction sets  the same tokens and log-probabilities, bit for bit; with BF16 weights avx512_bf16 rounds, so within ROUNDED
  company           a prompt answered beside others (a longer one cut in pieces, too) as alone, bit for bit
  attention         a token decoded (absorbed) and the same token behind a prompt (decompressed): log-probabilities
                    at most TIGHT apart, or where activations are rounded ROUNDED in the median step (a rounding
                    may send a token to another expert)
  memory            the process's own memory against what `tern inspect` says of weights and cache, and the buffers of
                    one batch, within MEMORY
Prints tokens a second, too. Exit 1 where a check fails.
"""
import json, os, pathlib, re, subprocess, sys, time, urllib.request

import numpy as np

import deepseek2_file, gguf_file, model_file
from deepseek2_file import Shape
from llama_cpp_parity import complete, start_server, stop_server

# rms of a difference of log-probabilities over the 20 best; logits spread by about 4. Each way's rounding of Q8_0 is
# about 0.1 in the small files of llama_cpp_parity.py.
TIGHT, ROUNDED = 0.001, 0.3
MEMORY = 0.03
CONTEXT, PARALLEL = 1024, 4

V2_LITE = dict(hidden=2048, heads=16, q_rank=0, kv_rank=512, nope=128, rope=64, v=128, dense_ff=10944, experts=64, used=6, shared=2,
               expert_ff=1408, sigmoid=False, bias=False, normalise=False, scale=1.0, yarn=40.0, yarn_original=4096,
               yarn_log_multiplier=0.0707, context=CONTEXT)
# With 32 experts for memory's sake, still in 8 groups.
V3 = dict(hidden=7168, heads=128, q_rank=1536, kv_rank=512, nope=128, rope=64, v=128, dense_ff=18432, experts=32, used=8, shared=1,
          expert_ff=2048, groups=8, groups_used=4, yarn=40.0, yarn_original=4096, yarn_log_multiplier=0.1, context=CONTEXT)
FILES = {'v2-lite-f32': (Shape(layers=2, **V2_LITE), 'F32'), 'v2-lite-f16': (Shape(layers=2, **V2_LITE), 'F16'),
         'v2-lite-bf16': (Shape(layers=2, **V2_LITE), 'BF16'), 'v2-lite-q8_0': (Shape(layers=3, **V2_LITE), 'Q8_0'),
         'v3-bf16': (Shape(layers=2, **V3), 'BF16'), 'v3-q8_0': (Shape(layers=2, **V3), 'Q8_0')}


def write(path, source, name, shape, kind):
    rng = np.random.default_rng(1)
    keys = deepseek2_file.keys(shape, name, source)
    vocab = len(gguf_file.strings(keys['tokenizer.ggml.tokens'][1]))

    def data_of(tensor, dims, as_type):
        if tensor.endswith('norm.weight'):
            return gguf_file.encode(np.ones(dims[0]), as_type)
        if tensor.endswith('.bias'):
            return gguf_file.encode(rng.uniform(0, 0.3, dims[0]), as_type)
        # 65,537 blocks over and over: an odd number, so that no two experts are alike.
        pool = gguf_file.encode(rng.normal(0, model_file.deviation(tensor, dims), 65537 * 32), as_type)
        return np.resize(np.frombuffer(pool, np.uint8), gguf_file.byte_size(dims, as_type))

    gguf_file.write(path, keys, list(deepseek2_file.tensors(shape, vocab, kind)), data_of)
    return vocab


def prompt_of(length, vocab, salt=0):
    return [(i * i * 7 + i * 31 + salt * 101) % (vocab - 16) for i in range(length)]


def complete_together(url, prompts, tokens):
    """The answers of one request with several prompts: (token ids, log-probabilities) of each."""
    body = {'prompt': prompts, 'max_tokens': tokens, 'temperature': 0, 'ignore_eos': True, 'return_token_ids': True, 'logprobs': 20}
    request = urllib.request.Request(url + '/v1/completions', json.dumps(body).encode(), {'Content-Type': 'application/json'})
    choices = json.load(urllib.request.urlopen(request, timeout=600))['choices']
    return [(c['token_ids'], c['logprobs']) for c in sorted(choices, key=lambda c: c['index'])]


def apart(one, other):
    """rms difference of two steps' log-probabilities, over the tokens that are among the best of both."""
    common = one.keys() & other.keys()
    return float(np.sqrt(np.mean([(one[t] - other[t]) ** 2 for t in common]))) if common else np.inf


class Checks:
    def __init__(self):
        self.good = True

    def expect(self, good, text):
        self.good &= bool(good)
        print(f'  {text}{"" if good else ": FAILED"}', flush=True)


def own_memory(server):
    """Bytes that the process holds beside mapped files."""
    return int(re.search(r'RssAnon:\s+(\d+)', pathlib.Path(f'/proc/{server.pid}/status').read_text())[1]) * 1024


def check_attention(checks, url, prompt, answer, tight, vocab):
    ids, logprobs = answer
    # A special token has no log-probabilities: steps count up to the first. They are among the last 16 ids.
    special = next((step for step, token in enumerate(ids) if token >= vocab - 16), len(ids))
    found = []
    for step in range(1, min(special, 26), 4):
        # The first 128 tokens of a prompt are one piece, which is decompressed.
        again = complete(url, prompt + ids[:step], 1)[1]['top_logprobs']
        if again:
            found.append(apart(again[0], logprobs['top_logprobs'][step]))
    if not found:
        return checks.expect(False, 'decoded and behind a prompt: no step without special tokens')
    good = max(found) <= TIGHT if tight else np.median(found) <= ROUNDED
    checks.expect(good, f'decoded and behind a prompt: apart by rms {np.median(found):.6f}, at most {max(found):.6f}')


def check_company(checks, url, prompts, alone):
    together = complete_together(url, prompts, len(alone[0]))
    checks.expect(together[0] == alone, f'beside {len(prompts) - 1} others as alone')


def batch_bytes(shape):
    """About what one batch's activations take, which inspect leaves out: tern takes 128 tokens of prompts at a time."""
    s, threads = shape, os.cpu_count()
    attention = s.heads * (s.nope + s.rope + 2 * s.kv_rank + s.rope + s.v)  # queries, the same absorbed, results
    network = 2 * s.dense_ff + s.used * s.hidden + threads * (s.hidden + 2 * s.expert_ff)
    return 4 * (128 + PARALLEL) * (attention + network + 6 * s.hidden)


def check_memory(checks, server, told, shape):
    model, batch = told['weights'] + told['cache_per_token'] * CONTEXT * PARALLEL, batch_bytes(shape)
    measured = own_memory(server)
    off = measured / (model + batch) - 1
    checks.expect(abs(off) <= MEMORY, f'memory {measured / 2**20:.0f} MiB, inspect says {model / 2**20:.0f} and a batch takes '
                                      f'{batch / 2**20:.0f} ({100 * off:+.1f} %)')


def print_speed(url, vocab):
    begin = time.monotonic()
    complete(url, prompt_of(512, vocab, 5), 1)
    first = time.monotonic()
    complete(url, prompt_of(1, vocab, 6), 48)
    print(f'  prompt {512 / (first - begin):.1f} tokens/s, decode {48 / (time.monotonic() - first):.1f}', flush=True)


def check_file(tern, path, shape, kind, vocab, isas):
    """Whether one file passes. The last instruction set is the best one, and has the other checks."""
    checks = Checks()
    told = json.loads(subprocess.run([tern, 'inspect', '--json', str(path)], check=True, capture_output=True).stdout)['memory']
    prompts = [prompt_of(96, vocab), prompt_of(300, vocab, 1), prompt_of(40, vocab, 2), prompt_of(150, vocab, 3)]
    first = None
    for isa in isas:
        server, url = start_server(tern, path, '--isa', isa, '--ctx', str(CONTEXT), '--parallel', str(PARALLEL))
        try:
            answer = complete(url, prompts[0], 32)
            first = first or answer
            rounds = kind == 'BF16' and isa == 'avx512_bf16'
            if rounds:
                far = apart(first[1]['top_logprobs'][0], answer[1]['top_logprobs'][0])
                checks.expect(far <= ROUNDED, f'{isa} from {isas[0]}: apart by rms {far:.6f}')
            elif isa != isas[0]:
                checks.expect(answer == first, f'{isa} as {isas[0]}')
            if isa == isas[-1]:
                check_attention(checks, url, prompts[0], answer, kind in ('F32', 'F16') or (kind == 'BF16' and not rounds), vocab)
                check_company(checks, url, prompts, answer)
                check_memory(checks, server, told, shape)
                print_speed(url, vocab)
        finally:
            stop_server(server)
    return checks.good


def main():
    if len(sys.argv) < 4 or not set(sys.argv[4:]) <= FILES.keys():
        sys.exit(__doc__)
    tern, source, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([tern, '--version'], check=True, capture_output=True, text=True).stdout
    available = re.search(r'instruction sets: ([^;]*)', version)[1].split()
    isas = [isa for isa in available if isa != 'scalar'] or available
    good = True
    for name in sys.argv[4:] or FILES:
        path = folder / f'{name}.gguf'
        try:
            vocab = write(path, source, name, *FILES[name])
            print(f'{name}: {path.stat().st_size / 2**30:.1f} GiB, {FILES[name][0].layers} layers', flush=True)
            good &= check_file(tern, path, *FILES[name], vocab, isas)
        finally:
            path.unlink(missing_ok=True)
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
