#!/usr/bin/env python3
"""The page at / in a real browser, in front of the embedded model and of a stub. usage: page_test.py TERN"""
import gzip, json, os, re, sys, time, unittest, urllib.request

import browser
from page_stub import KEY, STATS, Stub
from served import Served

TERN = os.path.abspath(sys.argv.pop(1))
HERE = os.path.dirname(os.path.abspath(__file__))
WEB = os.path.join(HERE, '..', '..', 'web')
QUERY = 'we need kogi carpet instead of ukulelesunder 50 euros'
SHIFT = 8


def setUpModule():
    global served, stub, page
    served = Served(TERN, '--calibration', '0.2')
    stub = Stub(served.url.rstrip('/'))
    page = browser.Browser(browser.find())


def tearDownModule():
    page.__exit__()
    stub.shutdown()
    stub.server_close()
    served.stop()


class Files(unittest.TestCase):
    def test_gzipped_files_are_the_same(self):
        for name in os.listdir(WEB):
            with open(os.path.join(WEB, name), 'rb') as file:
                expected = file.read()
            url = served.url if name == 'index.html' else f'{served.url}web/{name}'
            with urllib.request.urlopen(urllib.request.Request(url, headers={'Accept-Encoding': 'gzip'})) as reply:
                self.assertEqual(reply.headers['Content-Encoding'], 'gzip')
                self.assertEqual(gzip.decompress(reply.read()), expected, name)


class InBrowser(unittest.TestCase):
    """Each test's page is a fresh one; at its end nothing may have been complained about or asked of other hosts."""
    expected_complaints = r'/stats$'  # a server without it is not an error, but Chromium notes the 404

    def open(self, url, **how):
        self.url, self.page = url, page
        self.page.open(url, **how)
        self.page.wait('document.title.startsWith("tern ·")')

    def tearDown(self):
        self.assertEqual([one for one in self.page.complaints() if not re.search(self.expected_complaints, one)], [])
        foreign = [url for url in self.page.requests() if not url.startswith(self.url) and url != 'about:blank']
        self.assertEqual(foreign, [])

    def text(self, selector):
        return self.page.evaluate(f'[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText).join("\\n")')

    def click(self, selector):
        self.page.evaluate(f'document.querySelector({json.dumps(selector)}).click()')

    def set(self, selector, value):
        node = f'document.querySelector({json.dumps(selector)})'
        self.page.evaluate(f'{node}.value = {json.dumps(value)}, {node}.dispatchEvent(new Event("input"))')

    def ask(self, question):
        self.page.evaluate('document.querySelector("#question").focus()')
        self.page.type(question)
        self.page.press('Enter')

    def wait_for(self, selector):
        self.page.wait(f'document.querySelector({json.dumps(selector)})')


class EmbeddedModel(InBrowser):
    def test_a_query_is_answered(self):
        self.open(served.url)
        self.assertIn('tern-search', self.text('#model'))
        self.set('#deadline', 60 - 1)
        self.assertEqual(self.text('#deadline-value'), '1 min')
        self.click('.example:nth-child(1)')
        self.wait_for('.facts')
        self.assertFalse(self.page.evaluate('document.querySelector(".thinking").open'))
        self.assertRegex(self.text('.thinking summary'), r'^Thought for .* · \d+ tokens')
        self.assertIn(json.loads(self.text('.json'))['intent'], ('find', 'compare', 'support', 'off_topic'))
        facts = self.text('.facts')
        for name in ('first token', 'gaps p50 / p99', 'tokens/s', 'whole answer', 'on time'):
            self.assertIn(name, facts)

    def test_settings_reach_the_server(self):
        self.open(served.url)
        self.set('#budget', 0)
        self.ask(QUERY)
        self.wait_for('.facts')
        self.assertTrue(self.page.evaluate('document.querySelector(".thinking").hidden'))
        self.assertEqual(json.loads(self.text('.json'))['intent'], 'find')

    def test_each_query_stands_alone_and_a_new_chat_is_empty(self):
        self.open(served.url)
        answers = []
        for count in (1, 2):
            self.ask(QUERY)
            self.page.wait(f'document.querySelectorAll(".facts").length === {count}')
            answers.append(self.text(f'.turn:nth-child({count}) .json'))
        self.assertEqual(*answers)
        self.click('#new-chat')
        self.assertEqual(self.page.evaluate('document.querySelector("#log").children.length'), 0)

    def test_its_own_units(self):
        self.open(served.url)
        with open(os.path.join(HERE, 'page_units.js')) as file:
            self.assertEqual(self.page.evaluate(file.read()), [])


class AnyModel(InBrowser):
    def test_thinking_is_shown_and_folds(self):
        self.open(stub.url)
        self.assertEqual(self.text('#model'), '<b>stub</b>')
        self.assertEqual(self.text('#examples'), '')
        stub.go.clear()
        self.ask('hello')
        self.page.wait('document.querySelector(".thinking[open] .thoughts")?.innerText.includes("second")')
        self.assertRegex(self.text('summary'), '^Thinking for ')
        stub.go.set()
        self.wait_for('.facts')
        self.assertFalse(self.page.evaluate('document.querySelector(".thinking").open'))
        self.assertRegex(self.text('summary'), r'^Thought for .* · 3 tokens, closed for the deadline$')
        self.click('summary')
        self.assertEqual(self.text('.thoughts'), 'first second third')
        self.ask('again')
        self.page.wait('document.querySelectorAll(".facts").length === 2')
        self.assertEqual([one['content'] for one in stub.asked[-1]['messages']], ['hello', 'An **answer**.', 'again'])

    def test_stop_ends_the_request(self):
        self.open(stub.url)
        for end in (lambda: self.page.press('Escape'), lambda: self.click('#stop')):
            stub.left.clear()
            self.ask('slow')
            self.page.wait('document.querySelector(".turn:last-child .prose")?.innerText.includes("word word")')
            self.assertFalse(self.page.evaluate('document.querySelector("#stop").hidden'))
            self.assertFalse(self.page.evaluate('document.querySelector(".turn:last-child .thinking").open'), 'folded by the answer')
            end()
            self.page.wait('document.querySelector(".turn:last-child .note")?.innerText === "Stopped."')
            self.assertTrue(stub.left.wait(10), 'the server noticed')
            self.assertTrue(self.page.evaluate('document.querySelector("#stop").hidden'))

    def test_enter_sends_and_shift_enter_breaks(self):
        self.open(stub.url)
        self.ask('')
        self.page.type('a')
        self.page.press('Enter', SHIFT)
        self.ask('b')
        self.wait_for('.facts')
        self.assertEqual(self.text('.question'), 'a\nb')
        self.assertEqual(self.page.evaluate('document.querySelector("#question").value'), '')

    def test_text_of_models_stays_text(self):
        self.open(stub.url)
        self.ask('hostile')
        self.wait_for('.facts')
        self.assertIn('<script>', self.text('.prose'))
        self.assertFalse(self.page.evaluate('window.hacked'))
        self.assertEqual(self.page.evaluate('document.querySelectorAll("main img, main script, main a, main b").length'), 0)

    def test_late_answers_say_so(self):
        self.open(stub.url)
        self.set('#deadline', 0)
        self.ask('late')
        self.wait_for('.facts')
        self.assertIn('late', self.text('.verdict.bad'))
        self.assertEqual((stub.asked[-1]['deadline_ms'], stub.asked[-1]['late']), (50, 'refuse'))

    def test_plots_show_what_stats_has(self):
        self.open(stub.url, scale=2)
        self.page.wait('document.querySelectorAll(".plot-card:not([hidden]) .plot").length === 8')
        self.assertEqual(self.page.evaluate('document.querySelector(".plot").width / document.querySelector(".plot").clientWidth'), 2)
        shades = '''new Set(new Uint32Array(document.querySelector(".heat").getContext("2d").getImageData(0, 0, 800, 150).data.buffer)).size'''
        self.page.wait(f'{shades} > 5')
        self.assertIn('4 layers of 24 experts', self.page.evaluate('document.querySelector(".heat").ariaLabel'))
        try:
            stub.stats = {**stub.stats, 'experts': None, 'gbps': None, 'deadlines': {'on_time': 99, 'late': 11}}
            self.page.wait('document.querySelector(".heat").parentElement.hidden')
            stub.stats['ttft_ms'] = {'p50': None, 'p99': None}
            self.page.wait('document.querySelector(".plot-card").innerText.includes("p50 –")')
            self.page.wait('[...document.querySelectorAll(".plot-card")].some((one) => /On time[^]*90/.test(one.innerText))')
            stub.stats = {'running': 1, 'waiting': 0}
            self.open(stub.url)
            self.page.wait('document.querySelector(".plot-card:not([hidden])")')
            self.assertRegex(self.text('.plot-card:not([hidden])'), r'^Queue requests\s+running 1\s+waiting 0\s*$')
        finally:
            stub.stats = dict(STATS)

    def test_phones(self):
        for dark in (False, True):
            self.open(stub.url, width=390, height=844, phone=True, dark=dark)
            self.ask('hello')
            self.wait_for('.facts')
            for view in ('chat', 'live'):
                self.click(f'[data-show={view}]')
                self.click('#more-button')
                for box in ('html', f'.{view}', '.scroller', '.composer'):
                    widths = self.page.evaluate(f'(box => [box.scrollWidth, box.clientWidth])(document.querySelector("{box}"))')
                    self.assertEqual(*widths, f'{box} of {view} scrolls sideways')
                    self.assertLessEqual(widths[0], 390)

    def test_light_dark_and_the_choice(self):
        brightness = 'parseInt(getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/)[0])'
        for dark in (False, True):
            self.open(stub.url, dark=dark)
            self.assertEqual(self.page.evaluate(brightness) < 100, dark)
            self.click('#theme')
            self.assertEqual(self.page.evaluate(brightness) < 100, not dark)
            self.page.send('Page.reload')
            self.page.wait('document.title.startsWith("tern ·")')
            self.assertEqual(self.page.evaluate(brightness) < 100, not dark, 'the choice was kept')


class Refusals(InBrowser):
    expected_complaints = r'status of 4(01|29) |ERR_INCOMPLETE'

    def test_a_key_is_asked_for_and_kept_in_the_tab(self):
        self.open(stub.url)
        self.assertTrue(self.page.evaluate('document.querySelector("#key-row").hidden'))
        self.ask('key')
        self.wait_for('.notice')
        self.assertEqual(self.page.evaluate('document.activeElement.id'), 'key')
        self.page.type(KEY)
        self.page.press('Enter')
        self.click('.notice button')
        self.wait_for('.facts')
        self.assertEqual(self.page.evaluate('[sessionStorage.length, localStorage.length]'), [1, 0])

    def test_a_locked_server_is_not_asked_again_without_another_key(self):
        stub.locked, stub.asked = True, []
        try:
            self.url, self.page = stub.url, page
            page.open(stub.url)
            page.wait('!document.querySelector("#key-row").hidden')
            time.sleep(2.5)
            self.assertEqual(stub.asked, ['/v1/models'])
            self.page.evaluate('document.querySelector("#key").focus()')
            self.page.type(KEY)
            self.page.press('Enter')
            page.wait('document.title.startsWith("tern ·") && document.querySelectorAll(".plot-card:not([hidden])").length > 5')
        finally:
            stub.locked = False

    def test_a_refused_deadline_can_be_tried_again_or_anyway(self):
        self.open(stub.url)
        self.set('#deadline', 10)
        self.ask('refuse')
        self.wait_for('.notice button:disabled')
        self.assertIn('an answer needs 203 ms now', self.text('.notice').lower())
        self.wait_for('.notice button:not(:disabled)')
        self.click('.notice button:nth-child(2)')
        self.wait_for('.facts')
        self.assertEqual(stub.asked[-1]['late'], 'best_effort')

    def test_a_connection_that_ends_early_is_told(self):
        self.open(stub.url)
        self.ask('cut')
        self.wait_for('.notice')
        self.assertIn('An answer.', self.text('.prose'))
        self.assertIn('connection', self.text('.notice'))


if __name__ == '__main__':
    if not browser.find():
        print('skipped: no Chromium here (chromium-headless-shell or chromium)')
        sys.exit(1 if os.environ.get('CI') == 'true' else 77)
    unittest.main()
