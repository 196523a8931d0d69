#!/usr/bin/env python3
"""/metrics as Prometheus and its Python client read it, and the dashboard beside it. usage: prometheus_test.py TERN"""
import http.client, json, os, re, shutil, socket, subprocess, sys, tempfile, threading, time, unittest, urllib.parse

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    print('skipped: the prometheus_client package is not installed (tests/requirements.txt)')
    sys.exit(1 if os.environ.get('CI') == 'true' else 77)

TERN = os.path.abspath(sys.argv.pop(1))
DASHBOARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../deploy/grafana/tern.json')
PROMETHEUS, PROMTOOL = shutil.which('prometheus'), shutil.which('promtool')
# What label values may hold at the worst.
ALIAS = 'shop "1" \\ {a="b"}\né'


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def get(port, path, timeout=20):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)
    connection.request('GET', path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


def eventually(check, seconds=20):
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.1)


class Served:
    def __init__(self):
        self.process = subprocess.Popen([TERN, 'serve', '--port', '0', '--alias', ALIAS], stderr=subprocess.PIPE, text=True)
        self.log = []
        for line in self.process.stderr:
            found = re.search(r'http://127\.0\.0\.1:(\d+)/v1', line)
            if found:
                self.port = int(found[1])
                break
        else:
            raise RuntimeError('tern serve named no port')
        self.drain = threading.Thread(target=lambda: self.log.extend(self.process.stderr))
        self.drain.start()

    def ask(self, headers={}, **fields):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        body = {'messages': [{'role': 'user', 'content': 'chep red sneakrs undr 60'}], **fields}
        connection.request('POST', '/v1/chat/completions', json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.drain.join()
        self.process.stderr.close()
        return code


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.served = Served()
        cls.usages, cls.refused = [], 0
        for i in range(6):
            status, answer = cls.served.ask(deadline_ms=60000)
            assert status == 200, answer
            cls.usages.append(answer['usage'])
        for i in range(3):
            status, answer = cls.served.ask(deadline_ms=1, answer_reserve_tokens=200)
            assert status == 429, answer
        response, cls.text = get(cls.served.port, '/metrics')
        assert response.headers['Content-Type'] == 'text/plain; version=0.0.4; charset=utf-8'
        cls.families = {family.name: family for family in text_string_to_metric_families(cls.text)}

    @classmethod
    def tearDownClass(cls):
        assert cls.served.stop() == 0

    def value(self, name, **labels):
        found = [sample for family in self.families.values() for sample in family.samples
                 if sample.name == name and labels.items() <= sample.labels.items()]
        self.assertEqual(len(found), 1, (name, labels))
        return found[0].value

    def test_numbers_are_those_of_the_load(self):
        thought = sum(usage['completion_tokens_details']['reasoning_tokens'] for usage in self.usages)
        for under in ('tern:', 'vllm:'):
            self.assertEqual(self.value(under + 'request_success_total', finished_reason='stop'), 6)
            self.assertEqual(self.value(under + 'generation_tokens_total'),
                             sum(usage['completion_tokens'] for usage in self.usages))
            self.assertEqual(self.value(under + 'prompt_tokens_total') + self.value(under + 'prefix_cache_hits_total'),
                             sum(usage['prompt_tokens'] for usage in self.usages))
            self.assertEqual(self.value(under + 'time_to_first_token_seconds_count'), 6)
        self.assertEqual(self.value('tern:thinking_tokens_total'), thought)
        self.assertEqual(self.value('tern:deadlines_promised_total'), 6)
        self.assertEqual(self.value('tern:deadlines_refused_total'), 3)
        self.assertEqual(self.value('tern:deadline_requests_total', promised='true', outcome='on_time'), 6)
        self.assertEqual(self.value('tern:refusal_seconds_count'), 3)

    def test_labels_come_back_as_they_were(self):
        for family in self.families.values():
            for sample in family.samples:
                if not sample.name.startswith('process_'):
                    self.assertEqual(sample.labels['model_name'], ALIAS)

    def test_histograms_hold_together(self):
        seen = 0
        for family in self.families.values():
            if family.type != 'histogram':
                continue
            seen += 1
            series = {}
            for sample in family.samples:
                labels = {k: v for k, v in sample.labels.items() if k != 'le'}
                one = series.setdefault(json.dumps(labels, sort_keys=True), {'buckets': []})
                if sample.name.endswith('_bucket'):
                    one['buckets'].append((float(sample.labels['le']), sample.value))
                else:
                    one[sample.name.rsplit('_', 1)[1]] = sample.value
            for one in series.values():
                self.assertEqual(one['buckets'], sorted(one['buckets']))
                counts = [count for _, count in one['buckets']]
                self.assertEqual(counts, sorted(counts))
                self.assertEqual(one['buckets'][-1], (float('inf'), one['count']))
        self.assertGreater(seen, 10)

    def test_the_model_tells_of_its_passes(self):
        stages = {stage: self.value('tern:model_stage_seconds_total', stage=stage)
                  for stage in ('attention', 'router', 'experts', 'dense', 'head', 'rest')}
        self.assertTrue(all(seconds > 0 for seconds in stages.values()), stages)
        self.assertLess(stages['router'], 0.5 * sum(stages.values()))
        gbps = self.value('tern:model_read_bytes_total') / sum(stages.values()) * 1e-9
        self.assertGreater(gbps, 0.01)
        self.assertLess(gbps, 10000)

    def test_stats_have_shares_of_experts(self):
        stats = json.loads(get(self.served.port, '/stats')[1])
        self.assertEqual(stats['model'], ALIAS)
        self.assertGreater(len(stats['experts']), 0)
        for layer in stats['experts']:
            self.assertAlmostEqual(sum(layer), 1, delta=0.01)
        self.assertGreater(stats['router_share'], 0)

    def test_the_log_has_a_line_for_each(self):
        self.assertTrue(eventually(lambda: len(self.served.log) >= 9), self.served.log)
        lines = [json.loads(line) for line in self.served.log[:9]]
        self.assertEqual([line['status'] for line in lines], [200] * 6 + [429] * 3)
        self.assertTrue(all(line['on_time'] for line in lines[:6]))
        self.assertEqual([line['completion_tokens'] for line in lines[:6]],
                         [usage['completion_tokens'] for usage in self.usages])
        self.assertNotIn('sneakrs', ''.join(self.served.log))

    @unittest.skipUnless(PROMTOOL, "promtool is not installed (Debian's package prometheus)")
    def test_promtool_finds_nothing_wrong(self):
        checked = subprocess.run([PROMTOOL, 'check', 'metrics'], input=self.text, capture_output=True, text=True)
        # It would keep ':' for recording rules, and vLLM's names as they are.
        allowed = ('should not contain \':\'',)
        said = [line for line in (checked.stdout + checked.stderr).splitlines()
                if line and not any(one in line for one in allowed)]
        self.assertEqual(said, [])
        self.assertIn(checked.returncode, (0, 3))

    @unittest.skipUnless(PROMETHEUS, "prometheus is not installed (Debian's package of that name)")
    def test_a_real_prometheus_scrapes_it_and_runs_the_dashboards_queries(self):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'prometheus.yml'), 'w') as config:
                config.write('global: {scrape_interval: 1s, scrape_timeout: 1s}\n'
                             'scrape_configs: [{job_name: tern, static_configs: '
                             f'[{{targets: ["127.0.0.1:{self.served.port}"]}}]}}]\n')
            with open(os.path.join(folder, 'said'), 'w') as said:
                process = subprocess.Popen(
                    [PROMETHEUS, '--config.file', config.name, '--storage.tsdb.path', os.path.join(folder, 'data'),
                     f'--web.listen-address=127.0.0.1:{port}'], stdout=said, stderr=said)
            try:
                def query(expression):
                    path = '/api/v1/query?' + urllib.parse.urlencode({'query': expression})
                    response, body = get(port, path)
                    return response.status, json.loads(body)

                def scraped():
                    try:
                        result = query('vllm:request_success_total{finished_reason="stop"}')[1]['data']['result']
                    except (OSError, KeyError, ValueError):
                        return None
                    return result
                result = eventually(scraped, 30)
                self.assertTrue(result, 'nothing was scraped')
                self.assertEqual(result[0]['metric']['model_name'], ALIAS)
                self.assertEqual(float(result[0]['value'][1]), 6)
                self.assertEqual(query('up')[1]['data']['result'][0]['value'][1], '1')
                for expression in expressions():
                    status, answer = query(expression.replace('$__rate_interval', '1m').replace('$model_name', '.*'))
                    self.assertEqual((status, answer.get('status')), (200, 'success'), (expression, answer))
            finally:
                process.terminate()
                process.wait(timeout=30)

    def test_the_dashboard_asks_for_what_is_there(self):
        names = {sample.name for family in self.families.values() for sample in family.samples}
        asked = set()
        for expression in expressions():
            asked |= set(re.findall(r'\b((?:tern|vllm):\w+|process_\w+)', expression))
        self.assertGreater(len(asked), 25)
        self.assertEqual(asked - names, set())


def expressions():
    """What the dashboard's panels and variables ask Prometheus for, its shape checked on the way."""
    with open(DASHBOARD) as file:
        dashboard = json.load(file)
    found, ids, places = [], set(), set()
    for panel in dashboard['panels']:
        assert panel['id'] not in ids and panel['title'], panel
        ids.add(panel['id'])
        place = panel['gridPos']
        assert place['x'] + place['w'] <= 24, panel['title']
        for x in range(place['x'], place['x'] + place['w']):
            for y in range(place['y'], place['y'] + place['h']):
                assert (x, y) not in places, panel['title']
                places.add((x, y))
        if panel['type'] == 'row':
            continue
        assert panel['description'] and panel['fieldConfig']['defaults']['unit'], panel['title']
        assert len({target['refId'] for target in panel['targets']}) == len(panel['targets']) > 0, panel['title']
        found += [target['expr'] for target in panel['targets']]
    variables = {variable['name'] for variable in dashboard['templating']['list']}
    for expression in found:
        assert set(re.findall(r'\$(\w+)', expression)) <= variables | {'__rate_interval'}, expression
    return found


if __name__ == '__main__':
    unittest.main()
