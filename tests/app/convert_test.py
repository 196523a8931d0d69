#!/usr/bin/env python3
"""tern convert, quantize and inspect on files and folders. usage: convert_test.py TERN"""
import json, os, random, signal, struct, subprocess, sys, tempfile, time, unittest

TERN = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, 'models/search.gguf')


def tern(*arguments):
    return subprocess.run([TERN, *arguments], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def byte_letters():
    """GPT-2's letter for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(others)) for b in range(256)]


def write_safetensors(path, tensors):
    header, data = {}, b''
    for name, (shape, values) in tensors.items():
        raw = struct.pack(f'<{len(values)}f', *values)
        header[name] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def write_llama_folder(folder):
    """A random Llama of one layer over bytes."""
    rng = random.Random(1)
    hidden, ff, vocab = 32, 64, 258
    config = {'architectures': ['LlamaForCausalLM'], 'hidden_size': hidden, 'intermediate_size': ff, 'num_hidden_layers': 1,
              'num_attention_heads': 4, 'num_key_value_heads': 2, 'vocab_size': vocab, 'max_position_embeddings': 64,
              'rms_norm_eps': 1e-5, 'rope_theta': 10000.0, 'hidden_act': 'silu', 'bos_token_id': 256, 'eos_token_id': 257}
    layer = 'model.layers.0.'
    shapes = {'model.embed_tokens.weight': [vocab, hidden], 'model.norm.weight': [hidden], 'lm_head.weight': [vocab, hidden],
              layer + 'input_layernorm.weight': [hidden], layer + 'post_attention_layernorm.weight': [hidden],
              layer + 'self_attn.q_proj.weight': [hidden, hidden], layer + 'self_attn.k_proj.weight': [16, hidden],
              layer + 'self_attn.v_proj.weight': [16, hidden], layer + 'self_attn.o_proj.weight': [hidden, hidden],
              layer + 'mlp.gate_proj.weight': [ff, hidden], layer + 'mlp.up_proj.weight': [ff, hidden],
              layer + 'mlp.down_proj.weight': [hidden, ff]}
    count = lambda shape: shape[0] * (shape[1] if len(shape) == 2 else 1)
    tensors = {name: (shape, [rng.uniform(-0.5, 0.5) for _ in range(count(shape))]) for name, shape in shapes.items()}
    ends = [{'id': 256 + i, 'content': text, 'special': True, 'normalized': False, 'single_word': False, 'lstrip': False, 'rstrip': False}
            for i, text in enumerate(('<s>', '</s>'))]
    split = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': True}
    tokenizer = {'version': '1.0', 'added_tokens': ends, 'normalizer': None, 'pre_tokenizer': split, 'post_processor': None,
                 'decoder': split, 'model': {'type': 'BPE', 'vocab': {c: i for i, c in enumerate(byte_letters())}, 'merges': []}}
    os.makedirs(folder)
    for name, content in (('config.json', config), ('tokenizer.json', tokenizer)):
        with open(os.path.join(folder, name), 'w') as file:
            json.dump(content, file)
    write_safetensors(os.path.join(folder, 'model.safetensors'), tensors)


class Case(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_well(self, *arguments):
        done = tern(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done


class Help(unittest.TestCase):
    def test_both_teach_by_example(self):
        for command in ('convert', 'quantize'):
            done = tern(command, '--help')
            self.assertEqual(done.returncode, 0)
            self.assertIn('Examples:', done.stdout)
            self.assertIn('Q4_K_M', done.stdout)


class Convert(Case):
    def test_a_folder_and_its_file_say_the_same(self):
        write_llama_folder(self.path('llama'))
        shown = json.loads(self.run_well('inspect', '--json', '--no-measure', self.path('llama')).stdout)
        self.assertTrue(shown['runs'], shown['refused'])
        self.assertEqual((shown['architecture'], shown['gguf_version'], shown['vocab']), ('llama', 0, 258))
        self.run_well('convert', self.path('llama'), self.path('llama.gguf'))
        of_file = json.loads(self.run_well('inspect', '--json', '--no-measure', self.path('llama.gguf')).stdout)
        for key in ('architecture', 'weights', 'types', 'tokenizer', 'memory'):
            self.assertEqual(of_file[key], shown[key], key)
        ids = [subprocess.run([TERN, 'tokenize', '-m', self.path(name)], input='red shoes', capture_output=True, text=True, timeout=60).stdout
               for name in ('llama', 'llama.gguf')]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(len(ids[0].split()), 9)

    def test_what_is_no_folder_of_a_model_is_named(self):
        for command in ('convert', 'inspect'):
            done = tern(command, self.folder, *([self.path('m.gguf')] if command == 'convert' else []))
            self.assertEqual(done.returncode, 1, command)
            self.assertIn('config.json', done.stderr)
        self.assertEqual(os.listdir(self.folder), [])


class Quantize(Case):
    def test_types_are_named_and_files_kept(self):
        done = tern('quantize', MODEL, self.path('m.gguf'), '--type', 'q4_0')
        self.assertEqual(done.returncode, 3)
        self.assertIn('--allow-requantize', done.stderr)
        self.run_well('quantize', MODEL, self.path('m.gguf'), '--type', 'q4_0', '--allow-requantize', '--keep', 'blk.0.*')
        types = json.loads(self.run_well('inspect', '--json', '--no-measure', self.path('m.gguf')).stdout)['types']
        self.assertGreater(types['Q4_0']['tensors'], 30)
        self.assertGreater(types['Q8_0']['tensors'], 5)
        again = tern('quantize', MODEL, self.path('m.gguf'), '--type', 'q8_0')
        self.assertEqual(again.returncode, 1)
        self.assertIn('--force', again.stderr)
        self.run_well('quantize', MODEL, self.path('m.gguf'), '--type', 'q8_0', '--force')
        self.assertEqual(tern('run', '-m', self.path('m.gguf'), 'red shoes').stdout, tern('run', 'red shoes').stdout)

    def test_wrong_usage_is_named(self):
        for arguments in (['--type', 'q9_k'], []):
            done = tern('quantize', MODEL, self.path('m.gguf'), *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn('--type', done.stderr)

    def test_killed_at_any_moment_it_leaves_the_whole_file_or_none(self):
        for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            for wait in (0.02, 0.1, 0.3):
                child = subprocess.Popen([TERN, 'quantize', MODEL, self.path('m.gguf'), '--type', 'q3_k_m', '--allow-requantize',
                                          '--threads', '1', '--force'], stderr=subprocess.DEVNULL)
                time.sleep(wait)
                child.send_signal(how)
                code = child.wait(timeout=60)
                self.assertIn(code, (0, -how))
                self.assertLessEqual(set(os.listdir(self.folder)), {'m.gguf'})
                if os.path.exists(self.path('m.gguf')):
                    self.run_well('inspect', '--no-measure', self.path('m.gguf'))
                    os.remove(self.path('m.gguf'))


class Inspect(Case):
    def test_a_template_that_is_broken_is_listed(self):
        write_llama_folder(self.path('llama'))
        with open(self.path('llama/chat_template.jinja'), 'w') as file:
            file.write('{{ bos_token }}\n{% for m in messages %}\n{{ m.content }')
        text = self.run_well('inspect', '--no-measure', self.path('llama')).stdout
        self.assertRegex(text, r"template +\d+ bytes, not usable: it can't be parsed: line 3")
        shown = json.loads(self.run_well('inspect', '--json', '--no-measure', self.path('llama')).stdout)
        self.assertTrue(shown['runs'], shown['refused'])
        self.assertIn('line 3', shown['chat_template_refused'])

    def test_says_what_will_run_a_model(self):
        text = self.run_well('inspect', MODEL).stdout
        for word in ('a token', 'this machine', 'fits', 'tokens/s', 'GB/s'):
            self.assertIn(word, text)
        machine = json.loads(self.run_well('inspect', '--json', MODEL).stdout)['machine']
        self.assertGreater(machine['read_bandwidth'], 1e8)
        self.assertGreater(machine['tokens_per_second'], machine['tokens_per_second_full_context'])
        self.assertEqual(machine['fits'], 'yes')
        quiet = json.loads(self.run_well('inspect', '--json', '--no-measure', MODEL).stdout)['machine']
        self.assertIsNone(quiet['read_bandwidth'])
        self.assertIsNone(quiet['tokens_per_second'])


if __name__ == '__main__':
    unittest.main()
