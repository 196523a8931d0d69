#!/usr/bin/env python3
"""HAProxy with deploy/haproxy.cfg in front of the embedded model. usage: haproxy_test.py TERN"""
import http.client, json, os, re, shutil, signal, socket, ssl, subprocess, sys, tempfile, threading, time, unittest

if not (shutil.which('haproxy') and shutil.which('openssl')):
    print('skipped: haproxy or openssl is not installed (scripts/packages-checks.txt)')
    sys.exit(77)

TERN = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# As long as the context reaches: some hundred events.
LONG = {'messages': [{'role': 'user', 'content': 'chep red sneakrs undr 60'}], 'stream': True, 'ignore_eos': True}


def read(path):
    with open(path) as file:
        return file.read()


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


class Tern:
    """A replica that asks for keys and believes the proxy."""

    def __init__(self, keys, *options):
        self.process = subprocess.Popen([TERN, 'serve', '--port', '0', '--api-keys', keys, '--trusted-proxy', '127.0.0.1',
                                         '--allow-host', 'tern.example', '--calibration', '0', *options],
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r'http://127\.0\.0\.1:(\d+)', line):
                self.port = int(found[1])
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


class Proxied(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        keys = os.path.join(self.folder.name, 'keys')
        self.key = subprocess.run([TERN, 'keys', 'new', 'shop', '--append', keys], capture_output=True, text=True,
                                  check=True).stdout.strip()
        self.terns = [Tern(keys), Tern(keys)]
        for tern in self.terns:
            self.addCleanup(tern.process.stderr.close)
            self.addCleanup(lambda tern=tern: tern.process.poll() is not None or (tern.process.kill(), tern.process.wait()))
        self.port = free_port()
        self.proxy = subprocess.Popen(['haproxy', '-db', '-f', self.configuration()], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (self.proxy.kill(), self.proxy.wait()))
        self.wait_until(lambda: self.request('GET', '/v1/models')[0] == 200)

    def configuration(self):
        """The file of deploy/ with an address, a certificate made for the test and two replicas."""
        folder = self.folder.name
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                        '-days', '1', '-subj', '/CN=tern.example', '-addext', 'subjectAltName=DNS:tern.example',
                        '-keyout', f'{folder}/key', '-out', f'{folder}/certificate'], check=True, capture_output=True)
        with open(f'{folder}/tern.pem', 'w') as both:
            both.write(read(f'{folder}/certificate') + read(f'{folder}/key'))
        text = read(f'{ROOT}/deploy/haproxy.cfg')
        changes = [('bind :443', f'bind 127.0.0.1:{self.port}'), ('/etc/haproxy/tern.pem', f'{folder}/tern.pem'),
                   ('server tern1 127.0.0.1:8080', f'server tern1 127.0.0.1:{self.terns[0].port}'),
                   ('# server tern2 10.0.0.2:8080', f'server tern2 127.0.0.1:{self.terns[1].port}')]
        for old, new in changes:
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        path = f'{folder}/haproxy.cfg'
        with open(path, 'w') as file:
            file.write(text)
        checked = subprocess.run(['haproxy', '-c', '-f', path], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertNotIn('WARNING', checked.stderr)
        return path

    def wait_until(self, holds, seconds=15):
        end = time.monotonic() + seconds
        while True:
            try:
                if holds():
                    return
            except OSError:
                pass
            self.assertLess(time.monotonic(), end, 'nothing came of it')
            time.sleep(0.05)

    def direct(self, tern, path):
        """Past the proxy."""
        connection = http.client.HTTPConnection('127.0.0.1', tern.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request('GET', path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def connect(self):
        context = ssl.create_default_context(cafile=f'{self.folder.name}/certificate')
        connection = http.client.HTTPSConnection('tern.example', self.port, timeout=60, context=context)
        plain = socket.create_connection(('127.0.0.1', self.port), timeout=60)
        connection.sock = context.wrap_socket(plain, server_hostname='tern.example')
        self.addCleanup(connection.close)
        return connection

    def send(self, connection, method, path, body=None, key=None, **headers):
        headers |= {'Host': 'tern.example', 'Authorization': 'Bearer ' + (key or self.key)}
        connection.request(method, path, body and json.dumps(body), headers)
        return connection.getresponse()

    def request(self, *arguments, **options):
        response = self.send(self.connect(), *arguments, **options)
        return response.status, response.read()

    def test_events_arrive_as_they_are_made(self):
        connection = self.connect()
        start = time.monotonic()
        response = self.send(connection, 'POST', '/v1/chat/completions', LONG)
        self.assertEqual(response.status, 200)
        times = []
        while line := response.readline():
            if line.startswith(b'data: '):
                times.append(time.monotonic() - start)
        self.assertGreater(len(times), 100)
        # Buffered they would come together, or in few lumps 40 or 200 ms apart.
        self.assertLess(times[0], times[-1] / 4, times[-1])
        gaps = sorted(later - sooner for sooner, later in zip(times, times[1:]))
        self.assertLess(gaps[len(gaps) * 9 // 10], 0.030)
        lumps = sum(gap > 0.035 for gap in gaps)
        self.assertLess(lumps, len(gaps) / 4)

    def test_a_connection_stays(self):
        connection = self.connect()
        first = connection.sock
        for _ in range(5):
            response = self.send(connection, 'GET', '/v1/models')
            self.assertEqual((response.status, response.read()[:1]), (200, b'{'))
        self.assertIs(connection.sock, first)

    def test_keys_hosts_and_hidden_paths(self):
        self.assertEqual(self.request('GET', '/v1/models', key='none')[0], 401)
        self.assertEqual(self.request('GET', '/metrics')[0], 404)
        self.assertEqual(self.request('GET', '/health')[0], 200)

    def test_a_client_that_leaves_ends_its_answer(self):
        connection = self.connect()
        response = self.send(connection, 'POST', '/v1/chat/completions', LONG)
        response.readline()
        connection.sock.close()
        response.close()

        def idle():
            states = [self.direct(tern, '/health')[1] for tern in self.terns]
            return all(state['running'] + state['waiting'] == 0 for state in states)
        self.wait_until(idle, 10)

    def test_a_replica_drains_and_nothing_is_lost(self):
        streams, failures, stop = [], [], threading.Event()

        def stream():
            response = self.send(self.connect(), 'POST', '/v1/chat/completions', LONG)
            streams.append((response.status, response.read()))

        def ask():
            while not stop.is_set():
                status, body = self.request('GET', '/v1/models')
                if status != 200:
                    failures.append((status, body))
                time.sleep(0.02)  # well under the configuration's own limit of requests
        threads = [threading.Thread(target=stream) for _ in range(6)] + [threading.Thread(target=ask)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        self.assertEqual(self.terns[0].stop(), 0)
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(streams), 6)
        for status, body in streams:
            self.assertEqual(status, 200)
            self.assertTrue(body.endswith(b'data: [DONE]\n\n'), body[-200:])
        self.assertEqual(self.request('GET', '/v1/models')[0], 200, 'the other one goes on')


if __name__ == '__main__':
    unittest.main()
