#!/usr/bin/env python3
"""How fast llama.cpp runs a model, measured as `tern bench` does: a prompt in passes of 512 tokens, and streams that
decode together behind so many tokens each. Random tokens; nothing is sampled.

usage: llama_cpp_bench.py MODEL.gguf [-p 512] [-n 64] [-d 0] [-b 1] [-t 2] [-r 5] [--in-turn]   needs llama-cpp-python

Prints JSON: the rounds' tokens/s of prompt and decode, that of filling the depth once, and whether the weights were
repacked: some builds assert on repacked latent attention, and are run with the weights as they are. With --in-turn it
prints "ready" before the filling and before each round, and waits for a line of input, as `tern bench` does.
"""
import argparse, json, os, random, signal, subprocess, sys, time

PIECE = 512


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model')
    for short, name, default in (('-p', 'prompt', 512), ('-n', 'generate', 64), ('-d', 'depth', 0), ('-b', 'streams', 1), ('-t', 'threads', 2),
                                 ('-r', 'rounds', 5)):
        parser.add_argument(short, f'--{name}', type=int, default=default)
    parser.add_argument('--in-turn', action='store_true')
    parser.add_argument('--as-they-are', action='store_true', help="don't repack weights")
    return parser.parse_args()


class Peer:
    def __init__(self, options):
        from llama_cpp import llama_cpp as api
        self.api, self.random = api, random.Random(1)
        api.llama_backend_init()
        api.llama_log_set(QUIET := api.llama_log_callback(lambda level, text, data: None), None)
        self.keep = QUIET
        model = api.llama_model_default_params()
        if options.as_they_are:
            model.use_extra_bufts = False
        self.model = api.llama_model_load_from_file(options.model.encode(), model)
        if not self.model:
            sys.exit(f'{options.model}: llama.cpp does not load it')
        self.vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        context = api.llama_context_default_params()
        context.n_seq_max = options.streams
        context.n_ctx = options.streams * (max(options.prompt, options.depth + options.generate) + 64)
        context.n_batch = context.n_ubatch = PIECE
        context.n_threads = context.n_threads_batch = options.threads
        self.context = api.llama_init_from_model(self.model, context)
        if not self.context:
            sys.exit(f'{options.model}: llama.cpp makes no context of {context.n_ctx} tokens')
        self.batch = api.llama_batch_init(PIECE, 0, 1)

    def decode(self, tokens):
        """One pass over (sequence, position, wants logits)."""
        for i, (sequence, position, wanted) in enumerate(tokens):
            self.batch.token[i] = self.random.randrange(self.vocab)
            self.batch.pos[i] = position
            self.batch.n_seq_id[i] = 1
            self.batch.seq_id[i][0] = sequence
            self.batch.logits[i] = wanted
        self.batch.n_tokens = len(tokens)
        failed = self.api.llama_decode(self.context, self.batch)
        if failed:
            sys.exit(f'llama_decode: {failed}')
        self.api.llama_synchronize(self.context)

    def fill(self, sequence, count):
        for begin in range(0, count, PIECE):
            end = min(count, begin + PIECE)
            self.decode([(sequence, at, at + 1 == count) for at in range(begin, end)])

    def forget(self, streams, behind):
        for sequence in range(streams):
            if not self.api.llama_memory_seq_rm(self.api.llama_get_memory(self.context), sequence, behind, -1):
                sys.exit(f'llama.cpp does not forget what is behind token {behind}')

    def fill_all(self, streams, behind):
        for sequence in range(streams):
            self.fill(sequence, behind)

    def say(self, tokens, streams, behind):
        for step in range(tokens):
            self.decode([(sequence, behind + step, True) for sequence in range(streams)])


def measure(options, tokens, work):
    """Tokens a second of one round."""
    if options.in_turn:
        print('ready', flush=True)
        if not sys.stdin.readline():
            sys.exit('--in-turn: standard input ended')
    began = time.perf_counter()
    work()
    return tokens / (time.perf_counter() - began)


def main():
    options = arguments()
    if not options.as_they_are and os.environ.get('TERN_PEER_CHILD') != '1':
        # An assertion ends the process, so the first try has one of its own.
        child = subprocess.run([sys.executable, *sys.argv], env=os.environ | {'TERN_PEER_CHILD': '1'})
        if child.returncode != -signal.SIGABRT:
            sys.exit(child.returncode)
        options.as_they_are = True
    peer = Peer(options)
    peer.fill(0, 16)  # what is touched first is slow
    peer.forget(1, 0)
    result = {'prompt': [], 'decode': [], 'fill': None, 'repacked': not options.as_they_are}
    for _ in range(options.rounds if options.prompt else 0):
        result['prompt'].append(measure(options, options.prompt, lambda: peer.fill(0, options.prompt)))
        peer.forget(1, 0)
    streams, behind, tokens = options.streams, max(1, options.depth) - 1, options.generate
    if tokens and behind:
        result['fill'] = measure(options, streams * behind, lambda: peer.fill_all(streams, behind))
    for _ in range(options.rounds if tokens else 0):
        result['decode'].append(measure(options, streams * tokens, lambda: peer.say(tokens, streams, behind)))
        peer.forget(streams, behind)
    print(json.dumps(result))


if __name__ == '__main__':
    main()
