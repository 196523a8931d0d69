"""A server for the page's tests: tern's own files, and answers as slow, hostile or refused as the question says."""
import http.server, json, threading, time, urllib.request

STATS = {
    'model': 'stub', 'uptime_s': 3700, 'running': 3, 'waiting': 1, 'parallel': 8, 'tokens_per_s': 4000, 'prompt_tokens_per_s': 900,
    'gbps': 14.5, 'router_share': 0.02, 'cache_usage': 0.25, 'deadlines': {'promised': 100, 'on_time': 90, 'late': 10, 'refused': 5},
    'stages_us': {'attention': 80, 'experts': 120}, 'experts': [[i * j % 7 / 21 for i in range(1, 25)] for j in range(1, 5)],
    **{key: {'p50': 1, 'p99': 4} for key in ('step_ms', 'ttft_ms', 'itl_ms', 'queue_ms')},
}
HOSTILE = '<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> [a](javascript:alert(1))\n\n- **<b>x</b>**'
KEY = 'sesame'


class Stub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tern):
        super().__init__(('127.0.0.1', 0), Handler)
        self.tern, self.asked, self.stats = tern, [], dict(STATS)
        self.locked = False            # everything but the files wants the key
        self.left = threading.Event()  # a client went away while it was answered
        self.go = threading.Event()    # clear: answers stop while thinking
        self.go.set()
        self.url = f'http://127.0.0.1:{self.server_address[1]}/'
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # clients that leave are part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in (('Content-Length', str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, status, value, headers=()):
        self.send(status, json.dumps(value).encode(), (('Content-Type', 'application/json'), *headers))

    def do_GET(self):
        if self.server.locked and self.path in ('/stats', '/v1/models') and self.headers['Authorization'] != f'Bearer {KEY}':
            self.server.asked.append(self.path)
            return self.send_json(401, {'error': {'message': 'A key is missing.', 'code': 'invalid_api_key'}})
        if self.path == '/stats':
            return self.send_json(200, self.server.stats)
        if self.path == '/v1/models':
            return self.send_json(200, {'data': [{'id': '<b>stub</b>', 'max_model_len': 100}]})
        with urllib.request.urlopen(self.server.tern + self.path) as file:
            self.send(200, file.read(), [(name, file.headers[name]) for name in ('Content-Type', 'Content-Security-Policy')])

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.asked.append(asked)
        question = asked['messages'][-1]['content']
        if question == 'key' and self.headers['Authorization'] != f'Bearer {KEY}':
            return self.send_json(401, {'error': {'message': 'A key is missing.', 'code': 'invalid_api_key'}})
        if question == 'refuse' and asked.get('late') != 'best_effort':
            error = {'message': 'an answer needs 203 ms now, 100 are left', 'code': 'deadline_infeasible'}
            return self.send_json(429, {'error': error}, [('Retry-After', '1'), ('retry-after-ms', '300')])
        self.send_response(200)
        self.send_header('Content-Type', 'text/event-stream')
        self.send_header('Connection', 'close')
        self.end_headers()
        self.close_connection = True
        try:
            self.stream(question)
        except OSError:
            self.server.left.set()

    def event(self, delta, **more):
        choice = {'index': 0, 'delta': delta, 'finish_reason': None, **more}
        self.wfile.write(b'data: ' + json.dumps({'choices': [choice]}).encode() + b'\n\n')

    def stream(self, question):
        self.event({'role': 'assistant', 'content': ''})
        for word in ('first ', 'second ', 'third'):
            self.event({'reasoning_content': word})
        self.server.go.wait(20)
        if question == 'slow':
            for _ in range(600):
                self.event({'content': 'word '})
                time.sleep(0.05)
        self.event({'content': HOSTILE if question == 'hostile' else 'An **answer**.'})
        if question == 'cut':
            return
        tern = {'promised': True, 'on_time': question != 'late', 'closed_by': 'deadline', 'predicted_ms': 400, 'actual_ms': 350.5}
        self.event({}, finish_reason='stop', tern=tern)
        self.wfile.write(b'data: [DONE]\n\n')
