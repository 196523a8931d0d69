#!/usr/bin/env python3
"""tern's tokenizers beside Hugging Face's `tokenizers` and SentencePiece, id by id.

usage: tokenizers_test.py TERN [--full]

Small vocabularies are trained under the rules that real models have, written as Hugging Face folders (and as GGUF for
SentencePiece), and given random texts of all scripts and lines of this repository. The vocabularies of
../shared/vocab, where they are there, are turned into tokenizer.json and compared in the same way. A few thousand texts;
with --full 100,000. Exit 77: skipped, a package is missing."""
import glob, io, json, os, random, re, struct, subprocess, sys, tempfile, unicodedata

try:
    import sentencepiece
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from tokenizers.normalizers import NFC
except ImportError as missing:
    print(f'skipped: {missing}')
    sys.exit(1 if os.environ.get('CI') == 'true' else 77)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

TERN = os.path.abspath(sys.argv[1])
FULL = '--full' in sys.argv[2:]
THIN = 2 if FULL else 8  # of the lines to train on, every n-th
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r'\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}', r'\p{Ll}\p{Lm}\p{Lo}\p{M}'
TAIL = r'|\s*[\r\n]+|\s+(?!\S)|\s+'


def split(pattern, behavior='Isolated', invert=False):
    return {'type': 'Split', 'pattern': {'Regex': pattern}, 'behavior': behavior, 'invert': invert}


def byte_level(use_regex=False):
    return {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': use_regex}


def words(digits, letters=r'\p{L}', marks=''):
    return (CONTRACTION + r'|[^\r\n\p{L}\p{N}]?' + (f'[{letters}{marks}]' if marks else letters) + r'+|' + digits +
            rf'| ?[^\s\p{{L}}{marks}\p{{N}}]+[\r\n]*' + TAIL)


def cased(contraction, digits, punctuation, without=''):
    upper, lower = f'[{UPPER}{without}]', f'[{LOWER}{without}]'
    word = rf'[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{contraction}|[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{contraction}'
    return word + rf'|{digits}| ?[^\s\p{{L}}\p{{N}}]+{punctuation}' + TAIL


def deepseek_letters():
    """Runs of cased letters as DeepSeek LLM's tokenizer.json lists them, read from the list that tern has."""
    text = open(os.path.join(ROOT, 'src', 'text', 'patterns.h')).read()
    listed = text[text.index('kDeepseekWord ='):text.index('kDeepseekPunctuation')].split('R"(')[1:]
    joined = ''.join(part[:part.index(')"')] for part in listed)
    return re.sub(r'\\x\{([0-9A-F]+)\}', lambda match: chr(int(match[1], 16)), joined)


HAN = '[一-龥ࠀ-一가-퟿]+'
RULES = {
    'gpt-2': ([byte_level(True)], {}),
    'llama-bpe': ([split(words(r'\p{N}{1,3}')), byte_level()], {'ignore_merges': True}),
    'glm4': ([split(words(r'\p{N}{1,3}')), byte_level()], {}),
    'qwen2': ([split(words(r'\p{N}')), byte_level()], {'nfc': True}),
    'qwen35': ([split(words(r'\p{N}', r'\p{L}', r'\p{M}')), byte_level()], {'nfc': True}),
    'deepseek-llm': ([split('[\r\n]'), split(deepseek_letters()),
                      split('\\s?[!-/:-~！-／：-～‘-‟　-。]+'), split('\\s+$'), split(HAN),
                      {'type': 'Digits', 'individual_digits': True}, byte_level()], {}),
    'deepseek-coder': ([split('[\r\n]'), split('\\s?\\p{L}+'), split('\\s?\\p{P}+'), split(HAN),
                        {'type': 'Digits', 'individual_digits': True}, byte_level()], {}),
    'deepseek-v3': ([split(r'\p{N}{1,3}'), split('[一-龥぀-ゟ゠-ヿ]+'),
                     split('[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|'
                           ' ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+'), byte_level()], {}),
    'gpt-4o': ([split(cased(CONTRACTION + '?', r'\p{N}{1,3}', r'[\r\n/]*')), byte_level()], {'ignore_merges': True}),
    'gpt-4o, removed': ([split(cased(CONTRACTION + '?', r'\p{N}{1,3}', r'[\r\n/]*'), 'Removed', True), byte_level()], {}),
    'kimi-k2': ([split(r'[\p{Han}]+|' + cased(CONTRACTION + '?', r'\p{N}{1,3}', r'[\r\n]*', r'&&[^\p{Han}]')), byte_level()],
                {'ignore_merges': True}),
    'tekken': ([split(cased('', r'\p{N}', r'[\r\n/]*')), byte_level()], {'ignore_merges': True}),
    'starcoder': ([{'type': 'Digits', 'individual_digits': True}, byte_level(True)], {}),
    'no name': ([split(r'[^\s\p{L}]?\p{L}{1,4}|\p{Nd}{2}|\s{2}(?=\S)|(?<=[a-z])[.,]+'), byte_level()], {}),
}

BLOCKS = [(0x20, 0x7E)] * 4 + [
    (0x61, 0x7A), (0x30, 0x39), (0xA1, 0x17F), (0x180, 0x24F), (0x250, 0x2AF), (0x2B0, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x531, 0x58F), (0x5D0, 0x5EA), (0x600, 0x6FF), (0x700, 0x8FF), (0x900, 0x97F), (0xB80, 0xBFF), (0xE00, 0xE7F), (0xF00, 0xFFF),
    (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x13A0, 0x13FF), (0x1780, 0x17FF), (0x1C80, 0x1CFF), (0x1D00, 0x1DBF), (0x1E00, 0x1FFF),
    (0x2000, 0x206F), (0x20A0, 0x20FF), (0x2100, 0x218B), (0x2460, 0x24FF), (0x2600, 0x27BF), (0x2C00, 0x2DFF), (0x2E80, 0x2FDF),
    (0x3000, 0x30FF), (0x3130, 0x32FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA4D0, 0xA6FF), (0xA720, 0xABFF), (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF), (0xFB00, 0xFE0F), (0xFE20, 0xFFFF), (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x16FE0, 0x16FFF),
    (0x1D400, 0x1D7FF), (0x1F000, 0x1FAFF), (0x20000, 0x2FA1F), (0x30000, 0x3134F), (0xE0000, 0xE01EF), (0xFFF00, 0x10FFFF)]
ODD = ['\0', '\x01', '\t', '\n', '\v', '\f', '\r', '\x1c', '\x1f', '\x7f', '\x85', '\xa0', '\u1680', '\u180e', '\u200b', '\u200d',
       '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', '\ufeff', '\ufe0f', '\u2581', 'ſ', 'K', "'", '👩‍👩‍👧', '👍🏽', '🇩🇪', 'é', 'e\u0301',
       '각', '\u1100\u1161\u11a8', 'क्षि', '\U0010ffff', '\ufdd0', '\u0378', 'ẞ', 'ﬆ', 'ﬁ', '½', 'Ⅷ', '٣', '𝟘', '〇', '々', '𖿢']
WORDS = ("the red shoes under 40€ don't WE'LL I'M it's o'clock 1234567 3.14 größer Äpfel naïve camelCase HTTPServer snake_case "
         "mañana Привет мир 你好世界 日本語テキスト 한국어 สวัสดี שלום مرحبا नमस्ते {\"a\": [1, 2]}; x += y->z(); // TODO\r\n\tif (a != b) { "
         "https://example.com/a?b=c&d=%20 <|user|> <think> </s> <s> [PAD] $100,000.00 ---- ==== ....").split(' ')


def strangers():
    """Characters that the oracle's Unicode knows otherwise than 14.0, which Debian's PCRE2, utf8proc and Python have: newer
    ones in its regular expressions and digits, older ones in its NFC."""
    characters = sorted({chr(code) for low, high in BLOCKS for code in range(low, high + 1) if not 0xD800 <= code <= 0xDFFF})
    text, found = ''.join(characters), set()
    for name in 'LMNPS':
        kept = pre_tokenizers.Split(Regex(rf'\p{{{name}}}'), 'removed').pre_tokenize_str(text)
        others = set(''.join(piece for piece, _ in kept))
        found |= {c for c in characters if (c not in others) != (unicodedata.category(c)[0] == name)}
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str('x' + 'x'.join(characters))
    digits = {piece for piece, _ in pieces if len(piece) == 1}
    found |= {c for c in characters if (c in digits) != (unicodedata.category(c)[0] == 'N')} - {'x'}
    for c in characters:
        for around in (c, c + '\u0334', '\u0301' + c, 'a' + c):
            if unicodedata.combining(c) and NFC().normalize_str(around) != unicodedata.normalize('NFC', around):
                found.add(c)
    return found


def character(rng, block):
    while True:
        low, high = block if rng.random() < 0.7 else rng.choice(BLOCKS)
        code = rng.randint(low, high)
        if not 0xD800 <= code <= 0xDFFF and chr(code) not in STRANGERS:
            return chr(code)


def random_text(rng):
    out, block = [], rng.choice(BLOCKS)
    for _ in range(rng.choice((1, 3, 10, 30, 60))):
        what = rng.random()
        if what < 0.12:
            out.append(rng.choice(WORDS))
        elif what < 0.24:
            out.append(rng.choice(' \n\t\r') * rng.choice((1, 1, 2, 3, 5)))
        elif what < 0.32:
            out.append(rng.choice(ODD))
        elif what < 0.36:
            out.append(character(rng, block) * rng.randint(2, 40))
        else:
            out.append(character(rng, block))
    return ''.join(out)


def real_lines():
    lines = []
    for pattern in ('*.md', 'docs/*.md', 'src/text/*.cpp', 'tests/text/*.cpp', 'scripts/*'):
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            if os.path.isfile(path):
                text = open(path, encoding='utf-8').read()
                lines += text.splitlines(True) + text.split('\n\n')
    return lines


REAL = real_lines()
STRANGERS = strangers()


def texts_for(name, count):
    rng = random.Random(name)
    return ['', ' ', *ODD, *(rng.choice(REAL) if rng.random() < 0.15 else random_text(rng) for _ in range(count))]


def tern(command, model, lines, *options):
    done = subprocess.run([TERN, command, '-m', model, *options], input='\n'.join(lines) + '\n', capture_output=True,
                          text=True, encoding='utf-8')
    if done.returncode:
        raise SystemExit(f'tern {command} -m {model}: {done.stderr}')
    return [json.loads(line) for line in done.stdout.split('\n')[:-1]]


failed = 0


def compare(name, texts, expected, found):
    global failed
    wrong = [i for i in range(len(texts)) if expected[i] != found[i]]
    print(f'{name}: {len(texts)} texts, {len(wrong)} differ', flush=True)
    failed += len(wrong)
    for i in wrong[:3]:
        print(f'  {ascii(texts[i])}\n    expected {expected[i]}\n    found    {found[i]}')
    if len(found) != len(texts):
        failed += 1
        print(f'  {len(found)} answers')


def compare_with_tokenizers(name, source, model, count):
    """`model` is the folder or file that tern reads, `source` the text of the tokenizer.json."""
    tokenizer = Tokenizer.from_str(source)
    texts = texts_for(name, count)
    lines = [json.dumps(text) for text in texts]
    for special in (False, True):
        tokenizer.encode_special_tokens = not special
        expected = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
        found = tern('tokenize', model, lines, '--lines', '--json', *(['--parse-special'] if special else []))
        compare(f'{name}, special tokens {"parsed" if special else "as text"}', texts, expected, found)
    decoded = tern('detokenize', model, [json.dumps(ids) for ids in expected], '--json')
    # DeepSeek's added tokens such as "ö" are text; `tokenizers` takes them for a spelled byte on the way back, tern does not.
    back = tokenizer.decode_batch(expected, skip_special_tokens=False)
    compare(f'{name}, back', texts, texts if 'deepseek' in os.path.basename(model) else back, decoded)


SPECIALS = ['<|begin|>', '<|end|>', '<|user|>', '<think>', '</think>', '<|user', '日本<>']


def train_rule(name):
    steps, options = RULES[name]
    tokenizer = Tokenizer(models.BPE())
    spec = json.loads(tokenizer.to_str())
    spec['pre_tokenizer'] = steps[0] if len(steps) == 1 else {'type': 'Sequence', 'pretokenizers': steps}
    spec['normalizer'] = {'type': 'NFC'} if options.get('nfc') else None
    spec['decoder'] = byte_level(True)
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    rng = random.Random('train ' + name)
    lines = REAL[::THIN] + [random_text(rng) for _ in range(3000 // THIN)]
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=SPECIALS, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    spec = json.loads(tokenizer.to_str())
    spec['model']['ignore_merges'] = options.get('ignore_merges', False)
    return json.dumps(spec, ensure_ascii=False)


def write_and_compare(folder, name, source, count):
    model = os.path.join(folder, name)
    os.mkdir(model)
    with open(os.path.join(model, 'tokenizer.json'), 'w', encoding='utf-8') as file:
        file.write(source)
    compare_with_tokenizers(name, source, model, count)


def check_rules(folder, count):
    for name in RULES:
        write_and_compare(folder, name, train_rule(name), count)


# SentencePiece, as Llama 2 was trained, read from a GGUF file and from tokenizer.json in the forms that folders have.

def train_sentencepiece():
    rng, model = random.Random('sentencepiece'), io.BytesIO()
    lines = [line.replace('\0', '') for line in REAL[::THIN] + [random_text(rng) for _ in range(200)]]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=3000, model_type='bpe', byte_fallback=True,
        character_coverage=0.98, normalization_rule_name='identity', remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, max_sentence_length=100_000, minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def piece_type(processor, i):
    return 2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 6 if processor.is_byte(i) else 1


def write_gguf(path, processor):
    size = processor.vocab_size()
    pieces = [processor.id_to_piece(i) for i in range(size)]

    def text(value):
        return struct.pack('<Q', len(value.encode())) + value.encode()

    def key(name, kind, value):
        return text(name) + struct.pack('<I', kind) + value

    keys = [key('general.architecture', 8, text('llama')), key('tokenizer.ggml.model', 8, text('llama')),
            key('tokenizer.ggml.tokens', 9, struct.pack('<IQ', 8, size) + b''.join(map(text, pieces))),
            key('tokenizer.ggml.scores', 9, struct.pack(f'<IQ{size}f', 6, size, *map(processor.get_score, range(size)))),
            key('tokenizer.ggml.token_type', 9,
                struct.pack(f'<IQ{size}i', 5, size, *(piece_type(processor, i) for i in range(size))))]
    with open(path, 'wb') as file:
        file.write(b'GGUF' + struct.pack('<IQQ', 3, 0, len(keys)) + b''.join(keys))


def sentencepiece_json(processor, normalizer, pre_tokenizer):
    pieces = [processor.id_to_piece(i) for i in range(processor.vocab_size())]
    ids = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for piece, i in ids.items():
        if piece_type(processor, i) == 1:
            pairs = [(piece[:at], piece[at:]) for at in range(1, len(piece)) if piece[:at] in ids and piece[at:] in ids]
            merges += [(-processor.get_score(i), ids[left], ids[right], left, right) for left, right in pairs]
    added = [{'id': i, 'content': pieces[i], 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
              'special': True} for i in range(3)]
    prefixed = normalizer not in (None, REPLACE) or pre_tokenizer and pre_tokenizer['prepend_scheme'] != 'never'
    strip = [{'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}] if prefixed else []
    return json.dumps({
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added, 'normalizer': normalizer,
        'pre_tokenizer': pre_tokenizer, 'post_processor': None,
        'decoder': {'type': 'Sequence', 'decoders': [{'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '},
                                                     {'type': 'ByteFallback'}, {'type': 'Fuse'}, *strip]},
        'model': {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'continuing_subword_prefix': None,
                  'end_of_word_suffix': None, 'fuse_unk': True, 'byte_fallback': True, 'ignore_merges': False, 'vocab': ids,
                  'merges': [[left, right] for *_, left, right in sorted(merges)]}}, ensure_ascii=False)


def metaspace(scheme, split):
    return {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': scheme, 'split': split}


REPLACE = {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'}
SPACES = {
    'prepend': ({'type': 'Sequence', 'normalizers': [{'type': 'Prepend', 'prepend': '▁'}, REPLACE]}, None),
    'replace only': (REPLACE, None),
    'metaspace first': (None, metaspace('first', False)),
    'metaspace always, split': (None, metaspace('always', True)),
    'metaspace never': (None, metaspace('never', False)),
}


def check_sentencepiece(folder, count):
    processor = train_sentencepiece()
    path = os.path.join(folder, 'spm.gguf')
    write_gguf(path, processor)
    texts = texts_for('spm', count)
    lines = [json.dumps(text) for text in texts]
    compare('spm in GGUF', texts, [processor.encode(text) for text in texts], tern('tokenize', path, lines, '--lines', '--json'))
    for name, (normalizer, pre_tokenizer) in SPACES.items():
        write_and_compare(folder, 'spm, ' + name, sentencepiece_json(processor, normalizer, pre_tokenizer), count)


# The vocabularies of real models.

def read_vocabulary(path):
    """The tokenizer's keys of a GGUF file: texts, lists of texts and lists of 32-bit numbers."""
    data = open(path, 'rb').read()
    sizes, at, found = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}, 24, {}

    def text():
        nonlocal at
        length = struct.unpack_from('<Q', data, at)[0]
        at += 8 + length
        return data[at - length:at].decode()

    for _ in range(struct.unpack_from('<Q', data, 16)[0]):
        name, kind = text(), struct.unpack_from('<I', data, at)[0]
        at += 4
        if kind == 8:
            found[name] = text()
        elif kind == 9:
            item, n = struct.unpack_from('<IQ', data, at)
            at += 12
            if item == 8:
                found[name] = [text() for _ in range(n)]
            else:
                found[name] = struct.unpack_from(f'<{n}i', data, at) if item in (5, 6) else None
                at += n * sizes[item]
        else:
            at += sizes[kind]
    return found


def shared_json(path):
    keys = read_vocabulary(path)
    steps, options = RULES[keys['tokenizer.ggml.pre']]
    tokens, types = keys['tokenizer.ggml.tokens'], keys['tokenizer.ggml.token_type']
    added = [{'id': i, 'content': token, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
              'special': types[i] == 3} for i, token in enumerate(tokens) if types[i] in (3, 4)]
    return json.dumps({
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added, 'normalizer': None,
        'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': steps}, 'post_processor': None, 'decoder': byte_level(True),
        'model': {'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None,
                  'end_of_word_suffix': None, 'fuse_unk': False, 'byte_fallback': False,
                  'ignore_merges': options.get('ignore_merges', False), 'vocab': {token: i for i, token in enumerate(tokens)},
                  'merges': keys['tokenizer.ggml.merges']}}, ensure_ascii=False)


def check_shared(count):
    found = sorted(glob.glob(os.path.join(ROOT, '..', 'shared', 'vocab', '*.gguf')))
    if not found:
        print('../shared/vocab is not there: the vocabularies of real models are not compared')
    for path in found:
        compare_with_tokenizers(os.path.basename(path), shared_json(path), path, count)


if __name__ == '__main__':
    per = 100_000 // (len(RULES) + len(SPACES) + 5) if FULL else 200
    with tempfile.TemporaryDirectory() as temporary:
        check_rules(temporary, per)
        check_sentencepiece(temporary, per)
    check_shared(per)
    sys.exit(1 if failed else 0)
