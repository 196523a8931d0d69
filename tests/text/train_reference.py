#!/usr/bin/env python3
"""Reads {"lines": [...], "size": n} and prints the merges that Hugging Face's BPE trainer learns: [[left, right], ...]."""
import json
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

request = json.load(sys.stdin)
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trainer = trainers.BpeTrainer(
    vocab_size=request["size"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
tokenizer.train_from_iterator(request["lines"], trainer)
json.dump(json.loads(tokenizer.to_str())["model"]["merges"], sys.stdout)
