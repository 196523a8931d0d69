#!/usr/bin/env python3
"""The trainer from outside: killed and resumed, and its export read by transformers. usage: run_test.py TERN_TRAIN"""
import json, os, signal, subprocess, sys, tempfile, time, unittest

try:
    import numpy, torch, transformers
except ImportError as missing:
    print(f'skipped: {missing} (scripts/train-setup installs it)')
    sys.exit(1 if os.environ.get('CI') == 'true' else 77)

TRAINER = os.path.abspath(sys.argv.pop(1))

CONFIG = """
name = "tiny"
[model]
{model}
vocab_size = 300
hidden = 32
layers = 3
heads = 4
context = 512
dense_ff = 64
[data]
tokens_per_step = 600
vocabulary_lines = 200
[run]
steps = {steps}
log_every = 4
checkpoint_minutes = 0
probe_minutes = 0
probe_examples = 4
"""

DEEPSEEK = """family = "deepseek"
query_rank = 32
latent_rank = 32
nope_dim = 32
rope_dim = 8
value_dim = 32
experts = 6
experts_used = 2
shared_experts = 2
expert_ff = 32
expert_scale = 1.5
"""

LLAMA = """family = "llama"
kv_heads = 2
head_dim = 8
"""


def read(path, mode='r'):
    with open(path, mode) as file:
        return file.read()


def trainer(*arguments, **options):
    return subprocess.run([TRAINER, *arguments], capture_output=True, text=True, timeout=200, **options)


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def config(self, model, steps):
        with open(self.path('config.toml'), 'w') as file:
            file.write(CONFIG.format(model=model, steps=steps))
        return self.path('config.toml')

    def train(self, config, out, *more):
        done = trainer('search', '--config', config, '--out', out, *more)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_killed_and_resumed_is_the_run_that_was_not(self):
        steps = 30
        config = self.config(DEEPSEEK, steps)
        whole, killed = self.path('whole'), self.path('killed')
        self.train(config, whole)

        process = subprocess.Popen([TRAINER, 'search', '--config', config, '--out', killed], stderr=subprocess.DEVNULL)
        log = os.path.join(killed, 'log.jsonl')
        deadline = time.time() + 120
        while time.time() < deadline:  # at least five steps, so at least four checkpoints
            if os.path.exists(log) and read(log).count('\n') >= 5:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertFalse(os.path.exists(os.path.join(killed, 'model.gguf')), 'killed too late to show anything')

        refused = trainer('search', '--config', config, '--out', killed)
        self.assertEqual(refused.returncode, 3)
        self.assertIn('--resume', refused.stderr)

        self.train(config, killed, '--resume')
        seen = [json.loads(line)['step'] for line in read(log).splitlines() if '"loss"' in line]
        self.assertEqual(seen, list(range(1, steps + 1)), 'every step once, as each was saved')
        weights = [read(os.path.join(out, 'hf', 'model.safetensors'), 'rb') for out in (whole, killed)]
        self.assertEqual(weights[0], weights[1], 'bit for bit the same weights')

    def check_hugging_face(self, model, model_class):
        config = self.config(model, 8)
        out = self.path('run')
        self.train(config, out)
        tokens = [294, 296, 17, 250, 3, 3, 99, 280, 297, 298, 64, 5, 1, 0]
        printed = trainer('logits', '--config', config, '--out', out, *map(str, tokens))
        self.assertEqual(printed.returncode, 0, printed.stderr)
        found = numpy.array(json.loads(printed.stdout))

        loaded = transformers.AutoModelForCausalLM.from_pretrained(os.path.join(out, 'hf'), dtype=torch.float32)
        self.assertEqual(type(loaded).__name__, model_class)
        with torch.no_grad():
            expected = loaded(torch.tensor([tokens])).logits[0].double().numpy()
        error = numpy.linalg.norm(found - expected) / numpy.linalg.norm(expected)
        self.assertLess(error, 1e-4)

        tokenizer = transformers.AutoTokenizer.from_pretrained(os.path.join(out, 'hf'))
        prompt = tokenizer.apply_chat_template([{'role': 'user', 'content': 'red shoes'}], tokenize=False,
                                               add_generation_prompt=True)
        self.assertEqual(prompt, '<|begin|><|user|>red shoes<|assistant|><think>')
        ids = tokenizer(prompt, add_special_tokens=False)['input_ids']
        self.assertEqual(ids[:2] + ids[-2:], [294, 296, 297, 298])
        self.assertEqual(tokenizer.decode(ids), prompt)
        self.assertEqual(loaded.generation_config.eos_token_id, 295)

    def test_transformers_loads_the_export_as_deepseek_v3(self):
        self.check_hugging_face(DEEPSEEK, 'DeepseekV3ForCausalLM')

    def test_transformers_loads_the_dense_twin_as_llama(self):
        self.check_hugging_face(LLAMA, 'LlamaForCausalLM')

    def test_the_folder_holds_the_config_as_it_was_run(self):
        out = self.path('run')
        self.train(self.config(DEEPSEEK, 8), out, '--steps', '2', '--minutes', '3.5')
        config = os.path.join(out, 'config.toml')
        self.assertIn('\nsteps = 2\n', read(config))
        self.assertIn('\nminutes = 3.5\n', read(config))
        self.train(config, out, '--resume', '--steps', '3')
        self.assertEqual(json.loads(read(os.path.join(out, 'log.jsonl')).splitlines()[-1])['step'], 3)
        other = trainer('search', '--config', self.config(DEEPSEEK.replace('experts = 6', 'experts = 8'), 4), '--out', out, '--resume')
        self.assertEqual(other.returncode, 3)
        self.assertIn('model.experts = 6', other.stderr)

    def log_of(self, out):
        lines = [json.loads(line) for line in read(os.path.join(out, 'log.jsonl')).splitlines()]
        return [line for line in lines if 'loss' in line]

    @unittest.skipUnless(torch.cuda.is_available(), 'no CUDA device here')
    def test_cuda_trains_resumes_and_agrees_with_the_cpu(self):
        on_cpu, on_cuda = self.path('cpu'), self.path('cuda')
        self.train(self.config(DEEPSEEK, 6), on_cpu)
        self.train(self.config(DEEPSEEK, 6), on_cuda, '--device', 'cuda')
        first = [self.log_of(out)[0]['loss'] for out in (on_cpu, on_cuda)]
        self.assertAlmostEqual(first[1] / first[0], 1, delta=1e-3)  # the log has five digits

        config = self.config(DEEPSEEK, 10)
        self.train(config, on_cuda, '--device', 'cuda', '--resume')
        self.assertEqual([line['step'] for line in self.log_of(on_cuda)], list(range(1, 11)))

        tokens = [294, 296, 17, 250, 3, 3, 99, 280, 297, 298, 64, 5, 1, 0]
        found = []
        for device in ('cpu', 'cuda'):
            printed = trainer('logits', '--config', config, '--out', on_cuda, '--device', device, *map(str, tokens))
            self.assertEqual(printed.returncode, 0, printed.stderr)
            found.append(numpy.array(json.loads(printed.stdout)))
        error = numpy.linalg.norm(found[1] - found[0]) / numpy.linalg.norm(found[0])
        self.assertLess(error, 1e-4)

    def test_errors_name_the_thing(self):
        config = self.config(DEEPSEEK + 'colour = 3', 1)
        done = trainer('search', '--config', config, '--out', self.path('run'))
        self.assertEqual(done.returncode, 3)
        self.assertIn("unknown key 'colour'", done.stderr)
        missing = trainer('search', '--config', self.path('none.toml'), '--out', self.path('run'))
        self.assertEqual(missing.returncode, 1)
        self.assertIn('none.toml', missing.stderr)
        for wrong in ([], ['search'], ['search', '--config', config, '--out', self.path('run'), '--minutes', '-1'], ['logits']):
            self.assertEqual(trainer(*wrong).returncode, 2, wrong)
        if not torch.cuda.is_available():
            config = self.config(DEEPSEEK, 1)
            cuda = trainer('search', '--config', config, '--out', self.path('run'), '--device', 'cuda')
            self.assertEqual(cuda.returncode, 3)
            self.assertIn('cuda', cuda.stderr)


if __name__ == '__main__':
    unittest.main()
