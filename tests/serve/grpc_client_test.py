#!/usr/bin/env python3
"""The gRPC door as Python's grpcio sees it, in front of the embedded model. It knows the API by reflection alone.
usage: grpc_client_test.py TERN"""
import json, os, re, signal, subprocess, sys, threading, time, unittest, urllib.request

try:
    import grpc
    from google.protobuf import descriptor_pool, message_factory
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
except ImportError:
    print('skipped: the grpcio packages are not installed (tests/requirements.txt)')
    sys.exit(1 if os.environ.get('CI') == 'true' else 77)

TERN = os.path.abspath(sys.argv.pop(1))
QUERY = 'chep red sneakrs undr 60'


class Served:
    """`tern serve --grpc-port 0`."""

    def __init__(self, *options):
        self.process = subprocess.Popen([TERN, 'serve', '--port', '0', '--grpc-port', '0', '--alias', 'shop', *options],
                                        stderr=subprocess.PIPE, text=True)
        self.said = []
        self.http = self.port = None
        for line in self.process.stderr:
            self.said.append(line)
            http, rpc = re.search(r'http://127\.0\.0\.1:(\d+)', line), re.search(r'gRPC.* on 127\.0\.0\.1:(\d+)', line)
            self.http = int(http[1]) if http else self.http
            self.port = int(rpc[1]) if rpc else self.port
            if self.port:
                break
        else:
            raise RuntimeError('no port in: ' + ''.join(self.said))
        # Nobody else reads it, and a full pipe would stop the server.
        self.drain = threading.Thread(target=lambda: self.said.extend(self.process.stderr))
        self.drain.start()

    def stop(self, *signals):
        for one in signals:
            self.process.send_signal(one)
            time.sleep(0.1)
        code = self.process.wait(timeout=60)
        self.drain.join()
        self.process.stderr.close()
        return code


class Api:
    """The calls and messages of tern.v1 that a server tells of itself."""

    def __init__(self, port):
        self.channel = grpc.insecure_channel(f'127.0.0.1:{port}', options=[('grpc.use_local_subchannel_pool', 1)])
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)
        service = self.pool.FindServiceByName('tern.v1.Tern')
        for method in service.methods:
            kind = self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
            setattr(self, method.name, kind(f'/tern.v1.Tern/{method.name}',
                                            request_serializer=lambda message: message.SerializeToString(),
                                            response_deserializer=self.type(method.output_type.full_name).FromString))

    def type(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def message(self, name, **fields):
        return self.type('tern.v1.' + name)(**fields)

    def request(self, text=QUERY, **fields):
        return self.message('GenerateRequest', chat={'messages': [{'role': 'user', 'content': text}]}, **fields)

    def close(self):
        self.channel.close()


class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.served = Served('--parallel', '8')
        cls.api = Api(cls.served.port)

    @classmethod
    def tearDownClass(cls):
        cls.api.close()
        assert cls.served.stop(signal.SIGTERM) == 0, cls.served.said

    def http(self, **fields):
        body = json.dumps({'messages': [{'role': 'user', 'content': QUERY}], **fields}).encode()
        request = urllib.request.Request(f'http://127.0.0.1:{self.served.http}/v1/chat/completions', body,
                                         {'Content-Type': 'application/json'})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def idle(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.served.http}/health', timeout=60) as reply:
                health = json.load(reply)
            if health['running'] + health['waiting'] == 0:
                return True
            time.sleep(0.01)
        return False


class Generate(WithServer):
    def test_says_what_http_says(self):
        for fields in ({}, {'temperature': 1.5, 'seed': 11, 'max_tokens': 40}, {'thinking_budget_tokens': 3},
                       {'reasoning_effort': 'none', 'max_tokens': 30}):
            reply = self.http(**fields)
            mapped = {**fields}
            if 'reasoning_effort' in mapped:
                mapped['reasoning_effort'] = 'REASONING_EFFORT_' + mapped['reasoning_effort'].upper()
            events = list(self.api.Generate(self.api.request(**mapped), timeout=60))
            message, finish = reply['choices'][0]['message'], events[-1].finish
            self.assertEqual(''.join(event.text for event in events), message['content'])
            self.assertEqual(''.join(event.thinking for event in events), message.get('reasoning_content', ''))
            self.assertEqual([event.HasField('finish') for event in events], [False] * (len(events) - 1) + [True])
            self.assertEqual(finish.reason, {'stop': 1, 'length': 2}[reply['choices'][0]['finish_reason']])
            usage = reply['usage']
            self.assertEqual((finish.usage.prompt_tokens, finish.usage.completion_tokens, finish.usage.reasoning_tokens),
                             (usage['prompt_tokens'], usage['completion_tokens'],
                              usage['completion_tokens_details']['reasoning_tokens']))
            self.assertEqual(sum(len(event.token_ids) for event in events), usage['completion_tokens'])

    def test_a_deadline_is_promised_and_kept(self):
        finish = list(self.api.Generate(self.api.request(), timeout=30))[-1].finish
        self.assertTrue(finish.promised and finish.on_time)
        self.assertGreater(finish.actual_ms, finish.first_token_ms)

    def test_a_deadline_that_cannot_be_kept_is_refused(self):
        with self.assertRaises(grpc.RpcError) as raised:
            list(self.api.Generate(self.api.request(answer_reserve_tokens=100000), timeout=0.2))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn(('tern-error-code', 'deadline_infeasible'), raised.exception.trailing_metadata())

    def test_a_cancelled_call_holds_nothing(self):
        for _ in range(20):
            call = self.api.Generate(self.api.request(ignore_eos=True))
            next(iter(call))
            call.cancel()
        self.assertTrue(self.idle())

    def test_a_lost_client_holds_nothing(self):
        for _ in range(5):
            api = Api(self.served.port)
            next(iter(api.Generate(api.request(ignore_eos=True))))
            api.close()
        self.assertTrue(self.idle())

    def test_many_at_once(self):
        calls = [self.api.Generate(self.api.request(max_tokens=20)) for _ in range(40)]
        texts = {''.join(event.thinking + event.text for event in call) for call in calls}
        self.assertEqual(len(texts), 1)

    def test_wrong_requests(self):
        for wrong in ({'temperature': 5.0}, {'max_tokens': -1}, {'stop': ['a'] * 5}):
            with self.assertRaises(grpc.RpcError) as raised:
                list(self.api.Generate(self.api.request(**wrong)))
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn(next(iter(wrong)), raised.exception.details())
        with self.assertRaises(grpc.RpcError) as raised:
            list(self.api.Generate(self.api.request(model='gpt-4')))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)


class Others(WithServer):
    def test_tokens_and_back(self):
        tokens = self.api.Tokenize(self.api.message('TokenizeRequest', prompt=QUERY))
        text = self.api.Detokenize(self.api.message('DetokenizeRequest', token_ids=tokens.token_ids)).text
        self.assertEqual(text, QUERY)

    def test_models(self):
        models = self.api.ListModels(self.api.message('ListModelsRequest')).models
        self.assertEqual([model.id for model in models], ['shop'])
        self.assertEqual(self.api.GetModel(self.api.message('GetModelRequest', id='shop')), models[0])

    def test_reflection_lists_the_services(self):
        self.assertIn('tern.v1.Tern', self.api.database.get_services())

    def test_health(self):
        health = health_pb2_grpc.HealthStub(self.api.channel)
        for service in ('', 'tern.v1.Tern'):
            reply = health.Check(health_pb2.HealthCheckRequest(service=service))
            self.assertEqual(reply.status, health_pb2.HealthCheckResponse.SERVING)


class Signals(unittest.TestCase):
    def running_stream(self, served):
        api = Api(served.port)
        # As long as the context reaches.
        call = api.Generate(api.request(ignore_eos=True))
        next(iter(call))
        return api, call

    def test_the_first_finishes_what_runs(self):
        served = Served()
        api, call = self.running_stream(served)
        watcher = health_pb2_grpc.HealthStub(api.channel).Watch(health_pb2.HealthCheckRequest())
        self.assertEqual(next(watcher).status, health_pb2.HealthCheckResponse.SERVING)
        served.process.send_signal(signal.SIGTERM)
        self.assertEqual(next(watcher).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        self.assertEqual(list(call)[-1].finish.reason, 2)
        self.assertEqual(served.stop(), 0)
        api.close()

    def test_the_second_ends_at_once(self):
        served = Served()
        api, call = self.running_stream(served)
        start = time.monotonic()
        self.assertEqual(served.stop(signal.SIGTERM, signal.SIGTERM), 0)
        self.assertLess(time.monotonic() - start, 5)
        with self.assertRaises(grpc.RpcError):
            list(call)
        api.close()


if __name__ == '__main__':
    unittest.main()
