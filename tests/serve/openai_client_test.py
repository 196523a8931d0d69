#!/usr/bin/env python3
"""The server as OpenAI's own client sees it, in front of the embedded model. usage: openai_client_test.py TERN"""
import http.client, json, os, re, signal, subprocess, sys, threading, time, unittest

try:
    import openai
except ImportError:
    print('skipped: the openai package is not installed (tests/requirements.txt)')
    sys.exit(1 if os.environ.get('CI') == 'true' else 77)

TERN = os.path.abspath(sys.argv.pop(1))
QUERY = [{'role': 'user', 'content': 'chep red sneakrs undr 60'}]


class Served:
    """`tern serve` on a port of its own."""

    def __init__(self, *options):
        self.process = subprocess.Popen([TERN, 'serve', '--port', '0', '--alias', 'shop', *options], stderr=subprocess.PIPE,
                                        text=True)
        self.said = []
        for line in self.process.stderr:
            self.said.append(line)
            found = re.search(r'http://127\.0\.0\.1:(\d+)', line)
            if found:
                self.port = int(found[1])
                break
        else:
            raise RuntimeError('no port in: ' + ''.join(self.said))
        # Nobody else reads it, and a full pipe would stop the server.
        self.drain = threading.Thread(target=lambda: self.said.extend(self.process.stderr))
        self.drain.start()

    def client(self):
        return openai.OpenAI(base_url=f'http://127.0.0.1:{self.port}/v1', api_key='none', max_retries=0, timeout=60)

    def stop(self, signals=(signal.SIGTERM,)):
        for one in signals:
            self.process.send_signal(one)
            time.sleep(0.1)
        code = self.process.wait(timeout=60)
        self.drain.join()
        self.process.stderr.close()
        return code


class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.served = Served('--parallel', '8')
        cls.client = cls.served.client()
        cls.chat = cls.client.chat.completions

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.served.stop() == 0, cls.served.said


class Chat(WithServer):
    def test_a_reply_has_thinking_answer_and_usage(self):
        reply = self.chat.create(model='shop', messages=QUERY)
        message = reply.choices[0].message
        self.assertEqual(message.role, 'assistant')
        self.assertEqual(reply.object, 'chat.completion')
        self.assertIn(reply.choices[0].finish_reason, ('stop', 'length'))
        self.assertTrue(message.reasoning_content or message.content)
        usage = reply.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertGreater(usage.completion_tokens_details.reasoning_tokens, 0)

    def test_a_stream_says_the_same_in_pieces(self):
        whole = self.chat.create(model='shop', messages=QUERY, seed=1)
        thinking, answer, reasons, usage, roles = '', '', [], None, []
        with self.chat.create(model='shop', messages=QUERY, seed=1, stream=True,
                              stream_options={'include_usage': True}) as stream:
            for event in stream:
                self.assertEqual(event.object, 'chat.completion.chunk')
                usage = event.usage or usage
                for choice in event.choices:
                    roles.append(choice.delta.role)
                    thinking += getattr(choice.delta, 'reasoning_content', None) or ''
                    answer += choice.delta.content or ''
                    if choice.finish_reason:
                        reasons.append(choice.finish_reason)
        self.assertEqual(roles[0], 'assistant')
        self.assertEqual(answer, whole.choices[0].message.content)
        self.assertEqual(thinking, whole.choices[0].message.reasoning_content)
        self.assertEqual(reasons, [whole.choices[0].finish_reason])
        self.assertEqual(usage, whole.usage)

    def test_thinking_can_be_switched_off(self):
        for how in ({'reasoning_effort': 'none'}, {'extra_body': {'chat_template_kwargs': {'enable_thinking': False}}}):
            reply = self.chat.create(model='shop', messages=QUERY, max_tokens=40, **how)
            self.assertEqual(reply.usage.completion_tokens_details.reasoning_tokens, 0)
            self.assertFalse(hasattr(reply.choices[0].message, 'reasoning_content'))

    def test_budget_of_thinking(self):
        reply = self.chat.create(model='shop', messages=QUERY, extra_body={'thinking_budget_tokens': 3})
        self.assertLessEqual(reply.usage.completion_tokens_details.reasoning_tokens, 3)

    def test_efforts_are_budgets(self):
        def thought(**how):
            return self.chat.create(model='shop', messages=QUERY, **how).usage.completion_tokens_details.reasoning_tokens
        free = thought()
        self.assertGreater(free, 8)
        self.assertEqual(thought(reasoning_effort='minimal'), 8)
        self.assertEqual(thought(reasoning_effort='high'), free)
        self.assertEqual(thought(reasoning_effort='minimal', extra_body={'thinking_budget_tokens': 3}), 3)
        served = Served('--effort-budgets', 'minimal=5,high=7', '--max-thinking', '6')
        with served.client() as client:
            for effort, tokens in (('minimal', 5), ('high', 6)):
                reply = client.chat.completions.create(model='shop', messages=QUERY, reasoning_effort=effort)
                self.assertEqual(reply.usage.completion_tokens_details.reasoning_tokens, tokens)
                self.assertEqual(reply.choices[0].tern['closed_by'], 'budget')
        self.assertEqual(served.stop(), 0)

    def test_thinking_left_out_and_text_gathered(self):
        whole = self.chat.create(model='shop', messages=QUERY)
        for fields in ({'include_thinking': False}, {'stream_interval_ms': 5000}):
            thinking, answer, events, tern = '', '', 0, None
            with self.chat.create(model='shop', messages=QUERY, stream=True, extra_body=fields) as stream:
                for event in stream:
                    events += 1
                    delta = event.choices[0].delta
                    thinking += getattr(delta, 'reasoning_content', None) or ''
                    answer += delta.content or ''
                    tern = getattr(event.choices[0], 'tern', tern)
            self.assertEqual(answer, whole.choices[0].message.content)
            self.assertEqual(tern['thinking_tokens'], whole.usage.completion_tokens_details.reasoning_tokens)
            if 'include_thinking' in fields:
                self.assertEqual(thinking, '')
            else:
                self.assertEqual(thinking, whole.choices[0].message.reasoning_content)
                self.assertLess(events, 8)

    def test_choices_seed_and_temperature(self):
        def texts(seed):
            reply = self.chat.create(model='shop', messages=QUERY, temperature=2, seed=seed, n=4, max_completion_tokens=30)
            self.assertEqual([choice.index for choice in reply.choices], [0, 1, 2, 3])
            return [choice.message.model_dump() for choice in reply.choices]
        first = texts(5)
        self.assertEqual(first, texts(5))
        self.assertNotEqual(first, texts(99))
        self.assertGreater(len({str(text) for text in first}), 1)

    def test_logprobs(self):
        reply = self.chat.create(model='shop', messages=QUERY, logprobs=True, top_logprobs=3, max_tokens=20,
                                 reasoning_effort='none')
        content = reply.choices[0].logprobs.content
        self.assertGreater(len(content), 0)
        for token in content:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.top_logprobs[0].token, token.token)  # greedy
        self.assertEqual(b''.join(bytes(token.bytes) for token in content).decode(errors='replace'),
                         reply.choices[0].message.content)

    def test_stop_and_ignore_eos(self):
        free = self.chat.create(model='shop', messages=QUERY, reasoning_effort='none')
        text = free.choices[0].message.content
        self.assertGreater(len(text), 4)
        mark = text[2:5]
        cut = self.chat.create(model='shop', messages=QUERY, reasoning_effort='none', stop=[mark])
        self.assertEqual(cut.choices[0].message.content, text[:text.index(mark)])
        self.assertEqual(cut.choices[0].finish_reason, 'stop')
        on = self.chat.create(model='shop', messages=QUERY, max_tokens=60, extra_body={'ignore_eos': True})
        self.assertEqual((on.usage.completion_tokens, on.choices[0].finish_reason), (60, 'length'))

    def test_company_changes_nothing(self):
        queries = [[{'role': 'user', 'content': f'{colour} boots size {size}'}] for colour in ('red', 'blue', 'green', 'black')
                   for size in range(36, 44)]
        alone = [self.chat.create(model='shop', messages=query, max_tokens=24).choices[0].message for query in queries]
        together = [None] * len(queries)

        def one(i):
            together[i] = self.chat.create(model='shop', messages=queries[i], max_tokens=24).choices[0].message
        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(queries))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(alone, together)


class Completions(WithServer):
    def test_text_ids_and_streams(self):
        for prompt in ('red shoes', ['red shoes', 'blue hat'], [5, 6, 7]):
            reply = self.client.completions.create(model='shop', prompt=prompt, max_tokens=8, logprobs=2)
            self.assertEqual(len(reply.choices), 2 if isinstance(prompt[0], str) and isinstance(prompt, list) else 1)
            for choice in reply.choices:
                self.assertEqual(len(choice.logprobs.tokens), len(choice.logprobs.token_logprobs))
        text = self.client.completions.create(model='shop', prompt='red shoes', max_tokens=8).choices[0].text
        stream = self.client.completions.create(model='shop', prompt='red shoes', max_tokens=8, stream=True)
        self.assertEqual(''.join(event.choices[0].text for event in stream), text)


class Tokens(WithServer):
    def post(self, path, body):
        connection = http.client.HTTPConnection('127.0.0.1', self.served.port, timeout=60)
        connection.request('POST', path, json.dumps(body))
        reply = connection.getresponse()
        self.assertEqual(reply.status, 200)
        found = json.loads(reply.read())
        connection.close()
        return found

    def test_there_and_back(self):
        text = 'chep red sneakrs undr 60 \u20ac'
        ids = self.post('/tokenize', {'prompt': text, 'add_special_tokens': False, 'return_token_strs': True})
        self.assertEqual((ids['count'], len(ids['token_strs'])), (len(ids['tokens']),) * 2)
        self.assertEqual(self.post('/detokenize', {'tokens': ids['tokens']}), {'prompt': text})
        reply = self.client.completions.create(model='shop', prompt=ids['tokens'], max_tokens=1)
        self.assertEqual(reply.usage.prompt_tokens, ids['count'])

    def test_a_conversation_counts_as_it_will_be_prompted(self):
        ids = self.post('/tokenize', {'messages': QUERY})
        reply = self.chat.create(model='shop', messages=QUERY, max_tokens=1)
        self.assertEqual(ids['count'], reply.usage.prompt_tokens)
        self.assertGreater(ids['max_model_len'], ids['count'])


class Errors(WithServer):
    def test_wrong_requests_raise_what_openai_raises(self):
        for wrong in ({'temperature': 5}, {'n': 100}, {'max_tokens': -1}, {'tools': [{'type': 'function'}]},
                      {'response_format': {'type': 'json_object'}}, {'messages': []}, {'stop': ['a'] * 5},
                      {'messages': [{'role': 'user', 'content': 'x' * 100_000}]}):
            with self.assertRaises(openai.BadRequestError) as raised:
                self.chat.create(**{'model': 'shop', 'messages': QUERY, **wrong})
            self.assertEqual(raised.exception.type, 'invalid_request_error')
            field = next(iter(wrong))
            if field != 'messages':
                self.assertEqual(raised.exception.param, field)
        with self.assertRaises(openai.NotFoundError):
            self.chat.create(model='gpt-4', messages=QUERY)

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ['shop'])
        self.assertEqual(self.client.models.retrieve('shop').owned_by, 'tern')

    def test_a_body_that_is_no_json(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.served.port, timeout=60)
        connection.request('POST', '/v1/chat/completions', b'{"messages": [\xff')
        reply = connection.getresponse()
        self.assertEqual(reply.status, 400)
        self.assertEqual(json.loads(reply.read())['error']['code'], 'invalid_json')
        connection.close()

    def test_a_client_that_leaves_holds_nothing(self):
        def work():
            connection = http.client.HTTPConnection('127.0.0.1', self.served.port, timeout=60)
            connection.request('GET', '/health')
            health = json.loads(connection.getresponse().read())
            connection.close()
            return health['running'] + health['waiting']
        for _ in range(20):
            stream = self.chat.create(model='shop', messages=QUERY, stream=True, extra_body={'ignore_eos': True})
            next(iter(stream))
            stream.close()
        end = time.monotonic() + 10
        while work() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(work(), 0)


class Signals(unittest.TestCase):
    def running_stream(self, served):
        client = served.client()
        # As long as the context reaches.
        stream = client.chat.completions.create(model='shop', messages=QUERY, stream=True, extra_body={'ignore_eos': True})
        events = iter(stream)
        next(events)
        return client, events

    def test_the_first_finishes_running_streams(self):
        served = Served()
        client, events = self.running_stream(served)
        served.process.send_signal(signal.SIGTERM)
        reasons = [event.choices[0].finish_reason for event in events]
        self.assertEqual(reasons[-1], 'length')
        with self.assertRaises(openai.APIConnectionError):
            served.client().models.list()
        client.close()
        self.assertEqual(served.stop(signals=()), 0)

    def test_the_second_ends_at_once(self):
        served = Served()
        client, events = self.running_stream(served)
        start = time.monotonic()
        self.assertEqual(served.stop((signal.SIGTERM, signal.SIGTERM)), 0)
        self.assertLess(time.monotonic() - start, 5)
        client.close()


if __name__ == '__main__':
    unittest.main()
