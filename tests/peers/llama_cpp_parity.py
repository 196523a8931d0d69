#!/usr/bin/env python3
"""The same file in tern and in llama.cpp: the same greedy choice at every step, or a near tie.

usage: llama_cpp_parity.py TERN MODEL.gguf [MODEL.gguf ...]       needs the package llama-cpp-python

tern writes 64 greedy tokens after each prompt through its completions API; llama.cpp reads the same tokens and is
asked what it would have chosen at each step. Where it differs, both choices' logits in llama.cpp must lie within
TIE of each other. Exit 1 where they don't.
"""
import json, re, subprocess, sys, urllib.request

TIE = 0.05  # logits; the two engines round activations differently (llama.cpp keeps F16 caches)
TOKENS = 64


def start_server(tern, model):
    server = subprocess.Popen([tern, 'serve', '-m', model, '--port', '0'], stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        found = re.search(r'http://[^ /]+', line)
        if found:
            return server, found[0]
    sys.exit(f'{model}: tern serve did not start')


def complete(url, prompt):
    """The greedy continuation of token ids, as token ids."""
    body = {'prompt': prompt, 'max_tokens': TOKENS, 'temperature': 0, 'ignore_eos': True, 'return_token_ids': True}
    request = urllib.request.Request(url + '/v1/completions', json.dumps(body).encode(), {'Content-Type': 'application/json'})
    return json.load(urllib.request.urlopen(request, timeout=120))['choices'][0]['token_ids']


def compare(llama, prompt, chosen):
    """(same, ties, wrong) over the steps of one continuation."""
    import numpy as np
    llama.reset()
    llama.eval(prompt + chosen)
    same = ties = wrong = 0
    for step, token in enumerate(chosen):
        logits = np.asarray(llama.scores[len(prompt) - 1 + step])
        best = int(logits.argmax())
        if best == token:
            same += 1
        elif logits[best] - logits[token] <= TIE:
            ties += 1
        else:
            wrong += 1
            print(f'  step {step}: tern chose {token} ({logits[token]:.4f}), llama.cpp {best} ({logits[best]:.4f})')
    return same, ties, wrong


def prompts_of(llama, vocab):
    """Prompts as token ids: shop queries in the model's chat format where it has one, else spread-out ids."""
    queries = [b'<|begin|><|user|>red sneakrs for wmoen undr 60<|assistant|><think>',
               b'<|begin|><|user|>comparr runing shoes and boots<|assistant|><think>',
               b'<|begin|><|user|>where is my ordr<|assistant|><think></think>']
    if len(llama.tokenize(b'<think>', add_bos=False, special=True)) == 1:
        return [llama.tokenize(q, add_bos=False, special=True) for q in queries]
    return [[(7 * i * (k + 1) + k) % vocab for i in range(12)] for k in range(3)]


def main():
    from llama_cpp import Llama
    tern, models = sys.argv[1], sys.argv[2:]
    if not models:
        sys.exit(__doc__)
    failed = False
    for model in models:
        llama = Llama(model_path=model, n_ctx=512, logits_all=True, verbose=False, n_threads=2)
        server, url = start_server(tern, model)
        try:
            totals = [sum(column) for column in zip(*(compare(llama, p, complete(url, p)) for p in prompts_of(llama, llama.n_vocab())))]
        finally:
            server.terminate(); server.wait()
        print(f'{model}: {totals[0]} steps the same, {totals[1]} near ties, {totals[2]} wrong')
        failed |= totals[2] > 0
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
