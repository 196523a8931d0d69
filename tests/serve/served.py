"""`tern serve` with the embedded model on a port of its own, for tests."""
import re, signal, subprocess


class Served:
    def __init__(self, tern, *options):
        self.process = subprocess.Popen([tern, 'serve', '--port', '0', *options], stderr=subprocess.PIPE, text=True)
        said = ''
        while not (found := re.search(r'http://127\.0\.0\.1:\d+', said)):
            line = self.process.stderr.readline()
            assert line, f'no address in: {said}'
            said += line
        self.url = found[0] + '/'

    def stop(self):
        """Ends it as an operator would; its exit code must be 0."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
