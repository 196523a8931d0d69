#!/usr/bin/env python3
"""Reads {"tokenizer": text of tokenizer.json, "texts": [...]} and prints what Hugging Face's tokenizers make of it:
[{"ids": [...], "with_begin": [...], "text": decoded}, ...]."""
import json
import sys

from tokenizers import Tokenizer

request = json.load(sys.stdin)
tokenizer = Tokenizer.from_str(request["tokenizer"])
plain = tokenizer.encode_batch(request["texts"], add_special_tokens=False)
with_begin = tokenizer.encode_batch(request["texts"])
json.dump(
    [
        {"ids": a.ids, "with_begin": b.ids, "text": tokenizer.decode(a.ids, skip_special_tokens=False)}
        for a, b in zip(plain, with_begin)
    ],
    sys.stdout,
)
