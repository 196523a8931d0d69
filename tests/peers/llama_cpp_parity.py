#!/usr/bin/env python3
"""The same file in tern and in llama.cpp: the same greedy choice at every step, or a disagreement shown to be a near tie.

usage: llama_cpp_parity.py TERN MODEL.gguf [MODEL.gguf ...]       needs the package llama-cpp-python

tern writes 64 greedy tokens after each prompt through its completions API, with the log-probabilities of the 20 best;
llama.cpp (with F32 rows in its cache, as tern here) reads the same tokens and is asked for its log-probabilities of them.

The exact answer is llama.cpp's on the same weights as F32. Files of F32 and F16 weights, where tern rounds nothing, must
agree with it within TIGHT in every one of those log-probabilities. With other types each engine rounds activations in
its own order, and a rounding may send a token to another expert; there tern's typical (median) error must be at most
WORSE times llama.cpp's. Where the choices differ, one of these must hold, or the step is wrong:
  near tie     in both engines the margin between the two choices is at most TIE times the noise of that step, which is
               the rms difference between the engines over the other tokens of the 20 (F32 files: at most TIGHT)
  its rounding tern chose what llama.cpp itself chooses with the same weights as F32
The tokens of a few texts must be the same, too. Exit 1 where a file or a step is beyond that.
"""
import json, pathlib, re, subprocess, sys, tempfile, urllib.request

import numpy as np

import gguf_file

TIGHT = 0.001  # of a natural log of a probability
TIE = 4.0      # times one token's noise; the difference of two tokens' deviates by 1.4
WORSE = 1.2
TOKENS = 64
TOP = 20


class Peer:
    """llama.cpp with one model."""

    def __init__(self, model):
        """Without repacked weights: llama.cpp's AMX buffers fail an assertion on MLA's three-dimensional weights."""
        from llama_cpp import Llama, llama_cpp
        plain = llama_cpp.llama_model_default_params()
        plain.use_extra_bufts = False
        defaults = llama_cpp.llama_model_default_params
        llama_cpp.llama_model_default_params = lambda: plain
        f32 = llama_cpp.GGML_TYPE_F32
        try:
            self.llama = Llama(model_path=str(model), n_ctx=512, logits_all=True, verbose=False, n_threads=2, type_k=f32, type_v=f32)
        finally:
            llama_cpp.llama_model_default_params = defaults

    def logprobs(self, prompt, chosen):
        """{steps, vocab}: what it thinks of each step of `chosen`."""
        self.llama.reset()
        self.llama.eval(prompt + chosen)
        logits = np.array(self.llama.scores[len(prompt) - 1:len(prompt) - 1 + len(chosen)], np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def ids_by_text(self):
        """Tokens that their text tells apart."""
        ids = {}
        for token in range(self.llama.n_vocab()):
            ids.setdefault(self.llama.detokenize([token], special=True).decode('utf-8', 'replace'), []).append(token)
        return {text: found[0] for text, found in ids.items() if len(found) == 1}

    def prompts(self):
        """Prompts as token ids: shop queries in the model's chat format where it has one, else spread-out ids."""
        queries = [b'<|begin|><|user|>red sneakrs for wmoen undr 60<|assistant|><think>',
                   b'<|begin|><|user|>comparr runing shoes and boots<|assistant|><think>',
                   b'<|begin|><|user|>where is my ordr<|assistant|><think></think>']
        if len(self.llama.tokenize(b'<think>', add_bos=False, special=True)) == 1:
            return [self.llama.tokenize(q, add_bos=False, special=True) for q in queries]
        return [[(7 * i * (k + 1) + k) % self.llama.n_vocab() for i in range(12)] for k in range(3)]


def write_exact(model, types, path):
    """The same weights as F32; those that gguf_file can't decode, llama.cpp does."""
    if types <= gguf_file.DECODED:
        return gguf_file.write_as_f32(model, path)
    from llama_cpp import llama_cpp
    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype, how.allow_requantize = llama_cpp.LLAMA_FTYPE_ALL_F32, True
    if llama_cpp.llama_model_quantize(str(model).encode(), str(path).encode(), how):
        sys.exit(f'{model}: llama.cpp does not decode it')


def start_server(tern, model, *options):
    """tern serve and its address."""
    command = [tern, 'serve', '-m', str(model), '--port', '0', '--cache-type', 'f32', *options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        found = re.search(r'http://[^ /]+', line)
        if found:
            return server, found[0]
    sys.exit(f'{model}: tern serve did not start')


def stop_server(server):
    server.terminate()
    server.communicate()


def complete(url, prompt, tokens=TOKENS):
    """The greedy continuation of token ids: its token ids, and its log-probabilities as the API gives them."""
    body = {'prompt': prompt, 'max_tokens': tokens, 'temperature': 0, 'ignore_eos': True, 'return_token_ids': True, 'logprobs': TOP}
    request = urllib.request.Request(url + '/v1/completions', json.dumps(body).encode(), {'Content-Type': 'application/json'})
    choice = json.load(urllib.request.urlopen(request, timeout=600))['choices'][0]
    return choice['token_ids'], choice['logprobs']


def steps_of(answer, specials, ids_by_text):
    """tern's answer step by step: (token, {token: log-probability} of its best). The API gives none with special
    tokens: their steps have an empty set."""
    ids, logprobs = answer
    tops = iter(logprobs['top_logprobs'])
    for token in ids:
        top = {} if token in specials else next(tops)
        yield token, {ids_by_text[text]: value for text, value in top.items() if text in ids_by_text}


def rms(values):
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0


def centred(values):
    return values - np.mean(values) if len(values) else values


class Tally:
    """What a file's steps come to."""

    def __init__(self, types):
        self.plain = types <= {'F32'}             # nobody rounds
        self.exact = types <= {'F32', 'F16'}      # tern doesn't
        self.counts = {'same': 0, 'near tie': 0, 'its rounding': 0, 'WRONG': 0}
        self.apart, self.tern_errors, self.peer_errors = [], [], []  # by step, over tern's best tokens

    def add(self, step, token, top, peer, exact):
        """One step: tern's choice and best log-probabilities; llama.cpp's of all tokens, and the exact ones."""
        known = list(top)
        ours = np.array([top[t] for t in known])
        if known:
            self.apart.append(ours - peer[known])
            self.tern_errors.append(ours - exact[known])
            self.peer_errors.append(peer[known] - exact[known])
        best = int(peer.argmax())
        verdict = 'same' if best == token else self.judge(step, token, best, top, peer, exact)
        self.counts[verdict] += 1

    def judge(self, step, token, best, top, peer, exact):
        """Prints and says what a difference comes from."""
        others = [t for t in top if t not in (token, best)]
        noise = rms(centred(np.array([top[t] - peer[t] for t in others])))
        margins = (top[token] - top[best] if token in top and best in top else np.inf, peer[best] - peer[token])
        verdict = 'WRONG'
        if max(margins) <= (TIGHT if self.plain else TIE * noise):
            verdict = 'near tie'
        elif not self.plain and exact.argmax() == token:
            verdict = 'its rounding'
        print(f'  {step}: tern chose {token}, by {margins[0]:.4f}; llama.cpp {best}, by {margins[1]:.4f}; noise {noise:.4f}: {verdict}')
        return verdict

    def report(self, model):
        """Prints the sums; whether the file agrees."""
        most = max(np.abs(x).max() for x in self.tern_errors)
        ours, theirs = (float(np.median([rms(x) for x in errors])) for errors in (self.tern_errors, self.peer_errors))
        good = most <= TIGHT if self.exact else ours <= WORSE * theirs
        counts = ', '.join(f'{count} {verdict}' for verdict, count in self.counts.items() if count)
        print(f'{model}: {counts}; apart by rms {rms(np.concatenate(self.apart)):.6f}; from the exact answer: tern {ours:.6f} '
              f'(at most {most:.6f}), llama.cpp {theirs:.6f}{"" if good else ": TOO FAR"}', flush=True)
        return good and self.counts['WRONG'] == 0


TEXTS = ["red shoes under 60", " the  word of\nthat's all", "<s>Ünïcode\t42!? </s>"]


def same_tokens(tern, model, peer):
    """Whether both cut the same text into the same tokens."""
    found = [[int(token) for token in subprocess.run([tern, 'tokenize', '-m', str(model)], input=text.encode(), check=True,
                                                     capture_output=True).stdout.split()] for text in TEXTS]
    expected = [peer.llama.tokenize(text.encode(), add_bos=False, special=False) for text in TEXTS]
    if found != expected:
        print(f'{model}: tokens {found}, llama.cpp {expected}')
    return found == expected


def compare(tern, model, folder):
    """Whether one file agrees."""
    keys, tensors = gguf_file.read(model)
    tally = Tally({kind for _, kind, _ in tensors.values()})
    token_types = np.frombuffer(keys['tokenizer.ggml.token_type'][1][12:], '<i4')
    specials = set(np.flatnonzero(token_types != 1).tolist())
    peer = exact_peer = Peer(model)
    if not tally.plain:
        exact_file = pathlib.Path(folder) / 'exact.gguf'
        write_exact(model, {kind for _, kind, _ in tensors.values()}, exact_file)
        exact_peer = Peer(exact_file)
    ids_by_text = peer.ids_by_text()
    server, url = start_server(tern, model)
    try:
        for number, prompt in enumerate(peer.prompts()):
            answer = complete(url, prompt)
            theirs, exact = peer.logprobs(prompt, answer[0]), exact_peer.logprobs(prompt, answer[0])
            for step, (token, top) in enumerate(steps_of(answer, specials, ids_by_text)):
                tally.add(f'prompt {number}, step {step}', token, top, theirs[step], exact[step])
    finally:
        stop_server(server)
    return tally.report(model) and same_tokens(tern, model, peer)


def main():
    tern, models = sys.argv[1], sys.argv[2:]
    if not models:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        agreed = [compare(tern, model, folder) for model in models]
    sys.exit(0 if all(agreed) else 1)


if __name__ == '__main__':
    main()
