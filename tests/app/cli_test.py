#!/usr/bin/env python3
"""The program as its user meets it. usage: cli_test.py TERN"""
import hashlib, json, os, pty, re, select, shutil, signal, subprocess, sys, tempfile, time, unittest

TERN = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tern(*arguments, **options):
    return subprocess.run([TERN, *arguments], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, **options)


class Help(unittest.TestCase):
    def test_every_command_teaches_by_example(self):
        self.assertIn('Examples:', tern('--help').stdout)
        for command in (['run'], ['serve'], ['inspect'], ['eval', 'search'], ['train', 'search'], ['tokenize'],
                        ['detokenize'], ['load'], ['keys', 'new'], ['bench'], ['pack']):
            done = tern(*command, '--help')
            self.assertEqual(done.returncode, 0, command)
            self.assertIn('Examples:', done.stdout, command)
            self.assertIn('tern ' + command[0], done.stdout, command)

    def test_version_names_commit_and_instruction_sets(self):
        self.assertRegex(tern('--version').stdout, r'tern \d+\.\d+\.\d+ \(\w+\)\ninstruction sets: scalar.*; chosen: \w+')


class Load(unittest.TestCase):
    def setUp(self):
        self.server = subprocess.Popen([TERN, 'serve', '--port', '0'], stderr=subprocess.PIPE, text=True)
        self.url = re.search(r'http://[^/]+', self.server.stderr.readline())[0]

    def tearDown(self):
        self.server.terminate()
        self.server.communicate()

    def test_a_served_model_is_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            plot = os.path.join(folder, 'load.svg')
            done = tern('load', self.url, '--rate', '40', '--requests', '20', '--deadline', '5000:9000', '--json', '--plot', plot)
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(done.stdout)
            self.assertEqual(report['sent'], 20)
            self.assertEqual(report['done'] + report['refused'], 20)
            self.assertEqual(report['on_time'] + report['late'], report['done'])
            self.assertEqual(report['server_said'], report['done'])
            for times in ('ttfb_ms', 'ttft_ms', 'itl_ms', 'e2e_ms'):
                self.assertLessEqual(report[times]['p50'], report[times]['max'], times)
            with open(plot) as file:
                self.assertIn('</svg>', file.read())

    def test_a_trace_is_replayed(self):
        with tempfile.NamedTemporaryFile('w', suffix='.jsonl') as trace:
            trace.write('{"at_ms": 0}\n{"at_ms": 5, "request": {"prompt": "a", "max_tokens": 3}}\n')
            trace.flush()
            done = tern('load', self.url, '--trace', trace.name)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn('2 sent', done.stdout)
            self.assertIn('2 done, 0 refused (0.0%), 0 failed', done.stdout)
            trace.write('{"at_ms": 6, "promt": "a"}\n')
            trace.flush()
            wrong = tern('load', self.url, '--trace', trace.name)
            self.assertEqual(wrong.returncode, 3)
            self.assertIn(':3', wrong.stderr)

    def test_exit_codes_tell_what_was_wrong(self):
        for arguments, code in ((('http://127.0.0.1:1',), 1), (('http://127.0.0.1:1', '--model', 'm', '--requests', '1'), 1),
                                (('ftp://x',), 3), (('https://x',), 3), ((), 2), (('http://x', '--deadline', '9:3'), 2),
                                (('http://x', '--extra', '[]'), 2), (('http://x', '--rate', '1', '--concurrency', '2'), 2),
                                (('http://x', '--trace', '/no/such/file'), 2)):
            self.assertEqual(tern('load', *arguments).returncode, code, arguments)


class Pack(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.model = os.path.join(self.folder.name, 'model.gguf')
        self.pack = self.model + '.pack'
        shutil.copy(os.path.join(ROOT, 'models', 'search.gguf'), self.model)

    def tearDown(self):
        self.folder.cleanup()

    def packed(self, *arguments):
        done = tern('pack', '--json', *arguments, self.model)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return json.loads(done.stdout)

    def spoil(self, path, offset):
        with open(path, 'r+b') as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))

    def test_written_checked_and_left_as_it_is_while_it_is_whole(self):
        written = self.packed()
        self.assertEqual((written['result'], written['path']), ('written', self.pack))
        self.assertEqual(written['bytes'], os.path.getsize(self.pack))
        self.assertEqual(self.packed('--check')['result'], 'checked')
        before = os.stat(self.pack)
        self.assertEqual(self.packed()['result'], 'kept')
        self.assertEqual(os.stat(self.pack).st_mtime_ns, before.st_mtime_ns)
        self.assertEqual(sorted(os.listdir(self.folder.name)), ['model.gguf', 'model.gguf.pack'])

    def test_damaged_or_of_another_model_is_3_and_written_anew(self):
        self.packed()
        for spoil, said in ((lambda: self.spoil(self.pack, 100_000), 'damaged'), (lambda: os.truncate(self.pack, 5_000), 'footer'),
                            (lambda: os.utime(self.model, (1, 1)), 'another model')):
            spoil()
            done = tern('pack', '--check', self.model)
            self.assertEqual(done.returncode, 3)
            self.assertIn(self.pack, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertEqual(self.packed()['result'], 'written')
            self.assertEqual(self.packed('--check')['result'], 'checked')

    def test_answers_are_those_of_the_model(self):
        ask = ('run', '--json', '-m', self.model, '--max-tokens', '12', 'red shoes')
        plain = json.loads(tern(*ask, '--no-pack').stdout)
        self.packed()
        mapped = tern(*ask)
        self.assertEqual(mapped.stderr, '')
        self.assertEqual(json.loads(mapped.stdout)['thinking'], plain['thinking'])

    def test_what_cannot_be_done_is_named(self):
        none = tern('pack', '--check', self.model)
        self.assertEqual(none.returncode, 1)
        self.assertIn('no packed file', none.stderr)
        self.assertEqual(tern('pack').returncode, 2)
        missing = tern('pack', self.model + '.missing')
        self.assertEqual(missing.returncode, 1)
        self.assertIn(self.model + '.missing', missing.stderr)
        wrong = os.path.join(self.folder.name, 'text.gguf')
        with open(wrong, 'w') as file:
            file.write('no model')
        self.assertEqual(tern('pack', wrong).returncode, 3)

    def test_a_bar_on_a_terminal_alone(self):
        ours, theirs = pty.openpty()
        done = subprocess.run([TERN, 'pack', self.model], stdout=subprocess.PIPE, stderr=theirs, timeout=120)
        os.close(theirs)
        self.assertEqual(done.returncode, 0)
        drawn = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertRegex(drawn, r'pack \[#{30}\] 100%')
        self.assertRegex(drawn, r'write \[#{30}\] 100%')


class Tokens(unittest.TestCase):
    def run_with(self, text, *arguments):
        return subprocess.run([TERN, *arguments], input=text, capture_output=True, timeout=120)

    def test_bytes_come_back_as_they_were(self):
        for text in (b'', b'red shoes\n', 'größer 日本語 👩‍👧'.encode(), b'\xff\x00 \xc3', bytes(range(256))):
            ids = self.run_with(text, 'tokenize')
            self.assertEqual(ids.returncode, 0)
            self.assertEqual(self.run_with(ids.stdout, 'detokenize').stdout, text)
            listed = json.loads(self.run_with(text, 'tokenize', '--json').stdout)
            self.assertEqual(listed, [int(word) for word in ids.stdout.split()])

    def test_special_tokens_are_text_unless_asked(self):
        plain = json.loads(self.run_with(b'<|user|>', 'tokenize', '--json').stdout)
        special = json.loads(self.run_with(b'<|user|>', 'tokenize', '--json', '--parse-special').stdout)
        self.assertGreater(len(plain), 1)
        self.assertEqual(len(special), 1)
        for ids in (plain, special):
            self.assertEqual(self.run_with(json.dumps(ids).encode(), 'detokenize').stdout, b'<|user|>')

    def test_many_texts_a_line_each(self):
        texts = ['red shoes', '', 'two\nlines', 'größer']
        lines = '\n'.join(map(json.dumps, texts)).encode()
        ids = self.run_with(lines, 'tokenize', '--lines', '--json').stdout
        for text, line in zip(texts, ids.splitlines(), strict=True):
            self.assertEqual(json.loads(line), json.loads(self.run_with(text.encode(), 'tokenize', '--json').stdout))
        self.assertEqual([json.loads(line) for line in self.run_with(ids, 'detokenize', '--json').stdout.splitlines()], texts)

    def test_wrong_input_is_3_and_named(self):
        for arguments, text, named in ((('detokenize',), b'12 x', b'"x"'), (('detokenize',), b'99999999', b'99999999'),
                                       (('detokenize',), b'-1', b'-1'), (('tokenize', '--lines'), b'"a"\n7', b'line 2'),
                                       (('tokenize', '--lines'), b'{', b'line 1'), (('tokenize', '-m', ROOT), b'', b'tokenizer.json')):
            done = self.run_with(text, *arguments)
            self.assertEqual(done.returncode, 3, arguments)
            self.assertIn(named, done.stderr)


class Keys(unittest.TestCase):
    def test_a_key_is_shown_once_and_its_hash_goes_to_the_file(self):
        key, line = tern('keys', 'new', 'shop', '--requests', '60', '--tokens', '9000').stdout.splitlines()
        self.assertRegex(key, r'^tern-[\w-]{43}$')
        self.assertEqual(line, f'shop sha256:{hashlib.sha256(key.encode()).hexdigest()} requests=60 tokens=9000')
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'keys')
            keys = [tern('keys', 'new', name, '--append', path).stdout.strip() for name in ('a', 'b')]
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            with open(path) as file:
                hashes = [f'{name} sha256:{hashlib.sha256(key.encode()).hexdigest()}\n' for name, key in zip('ab', keys)]
                self.assertEqual(file.readlines(), hashes)

    def test_wrong_names_files_and_limits_are_named(self):
        self.assertIn('a b', tern('keys', 'new', 'a b').stderr)
        self.assertEqual(tern('keys', 'new', 'a', '--requests', '0').returncode, 2)
        self.assertEqual(tern('keys', 'new', 'a', '--append', '/nonexistent/keys').returncode, 1)
        with tempfile.NamedTemporaryFile('w', suffix='.keys') as file:
            file.write('# keys\nshop\n')
            file.flush()
            done = tern('serve', '--port', '0', '--api-keys', file.name)
            self.assertEqual(done.returncode, 3)
            self.assertIn(file.name + ':2:', done.stderr)

    def test_listening_elsewhere_without_keys_is_refused(self):
        done = tern('serve', '--port', '0', '--host', '0.0.0.0')
        self.assertEqual(done.returncode, 3)
        self.assertIn('--insecure-no-keys', done.stderr)


class Train(unittest.TestCase):
    def test_help_lists_the_trainers_options_and_usage_is_checked_without_it(self):
        self.assertIn('tern train search --config', tern('train', '--help').stdout)
        options = tern('train', 'search', '--help').stdout
        for option in ('--config', '--out', '--resume', '--device', '--threads', '--minutes', '--steps'):
            self.assertIn(option, options)
        for wrong in ([], ['--config', 'a.toml'], ['--config', 'a', '--out', 'b', '--steps', '-1'],
                      ['--config', 'a', '--out', 'b', '--minutes', 'nan'], ['--config', 'a', '--out', 'b', '--colour', '3']):
            self.assertEqual(tern('train', 'search', *wrong).returncode, 2, wrong)

    def test_the_trainer_beside_the_program_gets_the_options(self):
        with tempfile.TemporaryDirectory() as folder:
            program, trainer = os.path.join(folder, 'tern'), os.path.join(folder, 'tern-train')
            shutil.copy(TERN, program)
            with open(trainer, 'w') as file:
                file.write('#!/bin/sh\nprintf "%s\\n" "$@"\n')
            os.chmod(trainer, 0o755)
            done = subprocess.run([program, 'train', 'search', '--config', 'my run.toml', '--out', 'x', '--resume', '--minutes', '2'],
                                  capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout.splitlines(), ['search', '--config=my run.toml', '--out=x', '--resume=true', '--minutes=2'])


class ExitCodes(unittest.TestCase):
    def test_wrong_usage_is_2(self):
        self.assertEqual(tern('run', '--no-such-option').returncode, 2)
        self.assertEqual(tern().returncode, 2)
        self.assertEqual(tern('serve', '--parallel', '-1').returncode, 2)

    def assert_wrong_usage(self, done, option, value):
        self.assertEqual(done.returncode, 2, (option, value, done.stderr))
        self.assertIn(option, done.stderr)
        self.assertIn(value, done.stderr)

    def test_a_missing_file_is_1_and_named(self):
        done = tern('inspect', '/no/such/file.gguf')
        self.assertEqual(done.returncode, 1)
        self.assertIn('/no/such/file.gguf', done.stderr)

    def test_a_file_that_is_no_model_is_3(self):
        with tempfile.NamedTemporaryFile(suffix='.gguf') as file:
            file.write(b'GGUF' + b'\xff' * 60); file.flush()
            for command in (['inspect', file.name], ['run', '-m', file.name, 'hello']):
                done = tern(*command)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn(file.name, done.stderr)

    def test_absurd_parameters_are_refused_by_name(self):
        for option, value in (('--temperature', '-1'), ('--temperature', 'nan'), ('--top-p', '7'), ('--min-p', '-0.5'), ('--top-k', '-3')):
            done = tern('run', option, value, 'red shoes')
            self.assert_wrong_usage(done, option, value)

    def test_a_wrong_value_is_wrong_usage_and_its_option_is_named(self):
        for command, option, value in (
            (['run', 'red shoes'], '--think', 'maybe'), (['run', 'red shoes'], '--think', '-3'),
            (['run', 'red shoes'], '--isa', 'sse'), (['run', 'red shoes'], '--threads', 'many'),
            (['run', 'red shoes'], '--max-tokens', '-1'), (['run', 'red shoes'], '--seed', 'x'),
            (['eval', 'search'], '--noise', '5'), (['eval', 'search'], '--noise', '3..1'), (['eval', 'search'], '--think', 'maybe'),
            (['eval', 'search'], '--isa', 'sse'), (['eval', 'search'], '--n', '0'), (['eval', 'search'], '--split', 'train'),
            (['serve'], '--port', '99999'), (['serve'], '--port', '-1'),
            (['serve'], '--rate-limit', '60'), (['serve'], '--allow-origin', '*'), (['serve'], '--allow-host', 'a:80'),
            (['serve'], '--trusted-proxy', 'proxy'), (['serve'], '--max-body', '1'), (['serve'], '--max-n', '17'),
            (['serve'], '--isa', 'sse'),
            (['bench'], '--streams', '0'), (['bench'], '--prompt', '-1'), (['bench'], '--rounds', '0'),
            (['serve'], '--cache-mem', 'lots'), (['serve'], '--cache-mem', '99999999999T'), (['serve'], '--ctx', '-1'),
        ):
            self.assert_wrong_usage(tern(*command, f'{option}={value}'), option, value)

    def test_a_value_that_the_model_makes_impossible_is_wrong_usage_too(self):
        done = tern('serve', '--port', '0', '--ctx', '10000000')
        self.assert_wrong_usage(done, '--ctx', '10000000')
        self.assertRegex(done.stderr, r'the model reaches \d+')
        self.assert_wrong_usage(tern('serve', '--port', '0', '--cache-mem', '16'), '--cache-mem', '16 bytes')

    def test_no_question_is_wrong_usage(self):
        for command, given in ((['run'], ''), (['run'], '\n \t\r\n\n'), (['run', '--json'], '\n'), (['run', ''], ''), (['run', '  '], 'red shoes')):
            done = subprocess.run([TERN, *command], input=given, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (2, ''), (command, given))
            self.assertIn('no question', done.stderr)


class Run(unittest.TestCase):
    QUERY = 'red sneakrs undr 60'

    def ask(self, *arguments):
        done = tern('run', '--json', *arguments, self.QUERY)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_json_has_thinking_answer_and_times(self):
        reply = self.ask()
        self.assertEqual(reply['finish_reason'], 'stop')
        self.assertTrue(reply['thinking'])
        self.assertEqual(json.loads(reply['answer'])['intent'], 'find')
        self.assertGreater(reply['usage']['reasoning_tokens'], 0)
        self.assertGreaterEqual(reply['total_ms'], reply['first_token_ms'])

    def test_text_goes_to_standard_output_and_figures_to_standard_error(self):
        done = tern('run', self.QUERY)
        self.assertIn('"intent"', done.stdout)
        self.assertIn('tokens/s', done.stderr)
        self.assertNotIn('\x1b', done.stdout)

    def test_thinking_can_be_switched_off_or_given_a_budget(self):
        off = self.ask('--think', 'off')
        self.assertEqual(off['thinking'], '')
        self.assertEqual(off['usage']['reasoning_tokens'], 0)
        few = self.ask('--think', '3')
        self.assertLessEqual(few['usage']['reasoning_tokens'], 4)
        self.assertTrue(few['answer'])

    def test_max_tokens_cuts(self):
        reply = self.ask('--max-tokens', '5')
        self.assertEqual(reply['finish_reason'], 'length')
        self.assertEqual(reply['usage']['completion_tokens'], 5)

    def test_same_seed_same_text_and_greedy_on_every_instruction_set(self):
        self.assertEqual(self.ask('--temperature', '1', '--seed', '7')['thinking'], self.ask('--temperature', '1', '--seed', '7')['thinking'])
        self.assertEqual(self.ask('--isa', 'scalar')['answer'], self.ask()['answer'])

    def test_the_prompt_may_come_from_standard_input(self):
        done = subprocess.run([TERN, 'run'], input=self.QUERY + '\n', capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout, tern('run', self.QUERY).stdout)


class Chat(unittest.TestCase):
    """The chat loop on a real terminal."""

    def start(self, *options):
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.environ['TERM'] = 'xterm'
            # Nearly uniform sampling with this seed goes on to the end of the context, unless it is stopped.
            os.execv(TERN, [TERN, 'run', '--temperature', '1000', '--seed', '3', *options])
        self.seen = ''
        self.wait_for('> ')

    def tearDown(self):
        os.close(self.terminal)
        try:
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def wait_for(self, pattern, seconds=30):
        end = time.time() + seconds
        while not re.search(pattern, self.seen):
            if time.time() > end:
                self.fail(f'no {pattern!r} in {self.seen!r}')
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.terminal, 65536).decode(errors='replace')
                except OSError:
                    self.fail(f'the program ended before {pattern!r}: {self.seen!r}')
        self.seen = self.seen[re.search(pattern, self.seen).end():]

    def end(self):
        os.write(self.terminal, b'\x04')
        end = time.time() + 30
        ended, status = 0, 0
        while not ended and time.time() < end:
            time.sleep(0.01)
            ended, status = os.waitpid(self.child, os.WNOHANG)
        self.assertTrue(ended, 'Ctrl-D did not end the chat')
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)

    def test_asks_answers_and_ends(self):
        self.start()
        os.write(self.terminal, b'red shoes\n')
        self.wait_for('tokens/s')
        self.wait_for('> ')
        self.end()

    def test_ctrl_c_stops_the_answer_and_keeps_the_chat(self):
        self.start('--isa', 'scalar')  # seconds for an answer, so that this test can't come too late
        os.write(self.terminal, b'red shoes\n')
        self.wait_for('red shoes\r\n.')
        os.write(self.terminal, b'\x03')
        self.wait_for('tokens/s . cancelled')
        self.wait_for('> ')
        self.end()

    def test_ctrl_c_at_the_prompt_keeps_the_chat(self):
        self.start()
        os.write(self.terminal, b'half a quest')
        self.wait_for('half a quest')
        os.write(self.terminal, b'\x03')
        self.wait_for('> ')
        os.write(self.terminal, b'red shoes\n')
        self.wait_for('tokens/s')
        self.wait_for('> ')
        self.end()


class Inspect(unittest.TestCase):
    def test_the_embedded_model(self):
        self.assertIn('deepseek2', tern('inspect').stdout)
        found = json.loads(tern('inspect', '--json').stdout)
        self.assertTrue(found['runs'])
        self.assertTrue(found['tokenizer']['thinks'])
        self.assertGreater(found['weights'], found['active_weights'])

    def test_a_file_that_run_refuses_does_not_run(self):
        path = os.path.join(ROOT, 'tests/model/oracles/dumps/v2_greedy_yarn.gguf')
        self.assertEqual(tern('run', '-m', path, 'hello').returncode, 3)
        self.assertIn('no: the model could run, but the file has no tokenizer', tern('inspect', path).stdout)


class Bench(unittest.TestCase):
    def test_speed_and_limits_of_the_embedded_model(self):
        done = tern('bench', '-p', '40', '-n', '4', '-b', '2', '-r', '2', '--threads', '1', '--json')
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        for key in ('pp_tps', 'tg_tps', 'gbps', 'bandwidth_share'):
            self.assertGreater(found[key], 0, key)
        self.assertEqual(len(found['decode']['rounds_tps']), 2)
        self.assertGreater(found['stages_us']['experts'], 0)
        self.assertGreater(found['machine']['int8_gops'], 0)

    def test_rounds_in_turn_with_another_program(self):
        with subprocess.Popen([TERN, 'bench', '-p', '8', '-n', '0', '-r', '2', '--json', '--in-turn'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as bench:
            for _ in range(2):
                self.assertEqual(bench.stdout.readline(), 'ready\n')
                bench.stdin.write('\n')
                bench.stdin.flush()
            self.assertEqual(len(json.loads(bench.stdout.read())['prompt']['rounds_tps']), 2)
        done = tern('bench', '-p', '8', '-n', '0', '--in-turn')
        self.assertEqual(done.returncode, 3)
        self.assertIn('standard input ended', done.stderr)

    def test_the_machine_alone(self):
        self.assertRegex(tern('bench', 'machine', '--threads', '1').stdout, r'^\w+ on 1 thread: reads [\d.]+ GB/s, \d+ billion')
        self.assertGreater(json.loads(tern('bench', 'machine', '--json', '--isa', 'scalar').stdout)['read_gbps'], 0)

    def test_more_than_the_context_is_named(self):
        done = tern('bench', '-p', '100000')
        self.assertEqual(done.returncode, 3)
        self.assertIn('prompt tokens: expected 0 to', done.stderr)


class Eval(unittest.TestCase):
    def test_help_is_its_own(self):
        shown = tern('eval', '--help').stdout
        self.assertIn('tern eval search', shown)
        self.assertNotIn('tern serve', shown)

    def test_examples_of_a_file_are_not_chosen_again(self):
        for option, value in (('--split', 'test'), ('--n', '8'), ('--noise', '1')):
            done = tern('eval', 'search', '--data', '/no/such/examples.jsonl', option, value)
            self.assertEqual(done.returncode, 2, option)
            self.assertIn('--data', done.stderr, option)
            self.assertIn(option, done.stderr, option)

    def test_a_bad_export_path_fails_before_the_work(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in (os.path.join(folder, 'no/such/answers.jsonl'), folder):
                done = tern('eval', 'search', '--n', '1000000', '--export', path)  # hours, were it to begin
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(path, done.stderr)
            self.assertEqual(os.listdir(folder), [])

    def test_exported_examples_give_the_same_figures_when_read_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'answers.jsonl')
            made = tern('eval', 'search', '--n', '16', '--export', path, '--json')
            self.assertEqual(made.returncode, 0, made.stderr)
            made = json.loads(made.stdout)
            read = json.loads(tern('eval', 'search', '--data', path, '--json').stdout)
        self.assertGreater(made['unseen_noise']['count'], 0)
        for report in (made, read):
            del report['seconds'], report['oracle_ms']
        self.assertEqual(made, read)


if __name__ == '__main__':
    unittest.main(verbosity=2)
