#!/usr/bin/env python3
"""Whole models of real shape: do they load and answer, within the memory that their file and cache explain?

usage: whole_models.py TERN FILE.gguf [FILE.gguf ...]

Of each file, served with a context of 2,048 tokens:
  answers   96 tokens after a prompt of 700: every log-probability is a number, and the same request says the same again
  memory    the process's greatest resident size (VmHWM) is at most the file, the cache that `tern inspect` tells and MORE
Prints tokens a second, too (random weights: speed says something, words don't). Exit 1 where a check fails.
"""
import json, math, pathlib, re, subprocess, sys, time

from llama_cpp_parity import complete, start_server, stop_server

MORE = 300 * 10**6
CONTEXT = 2048


def greatest_resident(server):
    return int(re.search(r'VmHWM:\s+(\d+)', pathlib.Path(f'/proc/{server.pid}/status').read_text())[1]) * 1024


def check(tern, path):
    told = json.loads(subprocess.run([tern, 'inspect', '--json', '--no-measure', path], check=True, capture_output=True).stdout)
    allowed = pathlib.Path(path).stat().st_size + told['memory']['cache_per_token'] * CONTEXT + MORE
    prompt = [1000 + (i * i * 7 + i * 31) % 30000 for i in range(700)]
    begin = time.monotonic()
    server, url = start_server(tern, path, '--ctx', str(CONTEXT), '--parallel', '1')
    try:
        loaded = time.monotonic()
        complete(url, prompt, 1)
        first = time.monotonic()
        answer = complete(url, prompt[:4], 96)
        decoded = time.monotonic()
        again = complete(url, prompt[:4], 96)
        used = greatest_resident(server)
    finally:
        stop_server(server)
    numbers = [p for top in answer[1]['top_logprobs'] for p in top.values()]
    finite = len(numbers) > 0 and all(math.isfinite(p) and p <= 0 for p in numbers)
    print(f'{path}: {told["architecture"]}, {told["weights"] / 1e9:.2f} B weights; loaded in {loaded - begin:.1f} s, prompt '
          f'{700 / (first - loaded):.1f} tokens/s, decode {96 / (decoded - first):.1f}')
    print(f'  memory {used / 1e9:.3f} GB of at most {allowed / 1e9:.3f} (file, cache and 300 MB): {"ok" if used <= allowed else "FAILED"}')
    print(f'  {len(numbers)} log-probabilities, all of them numbers: {"ok" if finite else "FAILED"}')
    print(f'  the same request, the same answer: {"ok" if again == answer else "FAILED"}', flush=True)
    return finite and again == answer and used <= allowed


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    good = [check(sys.argv[1], path) for path in sys.argv[2:]]
    sys.exit(0 if all(good) else 1)


if __name__ == '__main__':
    main()
