"""Chromium by its DevTools protocol over a pipe: no driver, no packages. NUL ends a message in both directions."""
import base64, contextlib, json, os, select, shutil, subprocess, tempfile, time

PROGRAMS = ('chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome')


def find():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One headless Chromium with one page at a time. Use it as a context."""

    def __init__(self, program):
        self.profile = tempfile.TemporaryDirectory(prefix='tern-browser-', ignore_cleanup_errors=True)
        command_read, self.command = os.pipe()
        self.reply, reply_write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes to 4.
        self.process = subprocess.Popen(
            ['bash', '-c', 'exec "$@" 3<&%d 4>&%d' % (command_read, reply_write), 'bash', program, '--headless',
             '--remote-debugging-pipe', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
             f'--user-data-dir={self.profile.name}', 'about:blank'],
            pass_fds=(command_read, reply_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(command_read)
        os.close(reply_write)
        self.rest, self.number, self.events, self.session, self.context = b'', 0, [], None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.send('Browser.close')
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        self.process.kill()
        self.process.wait()
        os.close(self.command)
        os.close(self.reply)
        self.profile.cleanup()

    def receive(self, end):
        """The next message, None at time `end` (time.monotonic())."""
        while b'\0' not in self.rest:
            ready, _, _ = select.select([self.reply], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            piece = os.read(self.reply, 1 << 20)
            if not piece:
                raise RuntimeError('the browser ended')
            self.rest += piece
        message, self.rest = self.rest.split(b'\0', 1)
        return json.loads(message)

    def send(self, method, **parameters):
        """One command and its result; events that come meanwhile are kept in `events`."""
        self.number += 1
        command = {'id': self.number, 'method': method, 'params': parameters}
        if self.session:
            command['sessionId'] = self.session
        os.write(self.command, json.dumps(command).encode() + b'\0')
        end = time.monotonic() + 60
        while (message := self.receive(end)) is not None:
            if message.get('id') == self.number:
                if 'error' in message:
                    raise RuntimeError(f'{method}: {message["error"]}')
                return message['result']
            self.events.append(message)
        raise RuntimeError(f'{method}: no reply')

    def open(self, url, width=1280, height=800, scale=1, phone=False, dark=False):
        """A fresh page in place of the last one, in a context of its own: nothing is stored in it yet."""
        self.session = None
        if self.context:
            self.send('Target.disposeBrowserContext', browserContextId=self.context)
        self.events = []
        self.context = self.send('Target.createBrowserContext')['browserContextId']
        target = self.send('Target.createTarget', url='about:blank', browserContextId=self.context)['targetId']
        self.session = self.send('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.send(f'{domain}.enable')
        self.send('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale, mobile=phone)
        if phone:
            self.send('Emulation.setTouchEmulationEnabled', enabled=True)
        self.send('Emulation.setEmulatedMedia',
                  features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.send('Page.navigate', url=url)
        self.wait('document.readyState === "complete"')

    def evaluate(self, expression):
        """The value of an expression in the page, awaited where it is a promise."""
        result = self.send('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in result:
            details = result['exceptionDetails']
            raise RuntimeError(details.get('exception', {}).get('description') or details['text'])
        return result['result'].get('value')

    def wait(self, expression, seconds=20):
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f'Boolean({expression})'):
            if time.monotonic() > end:
                raise AssertionError(f'never came true: {expression}')
            time.sleep(0.02)

    def type(self, text):
        self.send('Input.insertText', text=text)

    def press(self, key, modifiers=0):
        """A key by its name; `modifiers` as DevTools has them (8: shift)."""
        event = {'key': key, 'code': key, 'modifiers': modifiers, 'windowsVirtualKeyCode': {'Enter': 13, 'Escape': 27}[key]}
        if key == 'Enter':
            event['text'] = '\r'
        self.send('Input.dispatchKeyEvent', type='keyDown', **event)
        self.send('Input.dispatchKeyEvent', type='keyUp', **event)

    def screenshot(self, path):
        with open(path, 'wb') as file:
            file.write(base64.b64decode(self.send('Page.captureScreenshot')['data']))

    def requests(self):
        """The addresses of all requests so far."""
        return [event['params']['request']['url'] for event in self.events if event.get('method') == 'Network.requestWillBeSent']

    def complaints(self):
        """What a console would show in red or yellow, uncaught errors and violated policies included."""
        found = []
        for event in self.events:
            method, parameters = event.get('method'), event.get('params', {})
            if method == 'Runtime.exceptionThrown':
                details = parameters['exceptionDetails']
                found.append(details.get('exception', {}).get('description') or details['text'])
            elif method == 'Runtime.consoleAPICalled' and parameters['type'] in ('error', 'warning', 'assert'):
                found.append(' '.join(str(argument.get('value')) for argument in parameters['args']))
            elif method == 'Log.entryAdded' and parameters['entry']['level'] in ('error', 'warning'):
                found.append(f'{parameters["entry"]["text"]} {parameters["entry"].get("url", "")}')
        return found
