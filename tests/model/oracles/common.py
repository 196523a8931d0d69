"""What the scripts beside it share."""
import argparse, copy, pathlib, sys

import numpy as np
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'peers'))
import gguf_file  # noqa: E402

transformers.utils.logging.disable_progress_bar()

VERSIONS = {'transformers': '5.23.0', 'torch': '2.13.0'}


def relative_error(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def write_gguf(path, keys, tensors):
    """keys {name: value}, lists as arrays; tensors {name: torch tensor, its contiguous dimension last}, written as F32."""
    typed = {k: (gguf_file.ARRAY, gguf_file.array(v)) if isinstance(v, list) else gguf_file.key(v) for k, v in keys.items()}
    arrays = {name: np.ascontiguousarray(t.numpy(), '<f4') for name, t in tensors.items()}
    infos = [(name, a.shape[::-1], 'F32') for name, a in arrays.items()]
    gguf_file.write(path, typed, infos, lambda name, *_: arrays[name].tobytes())


def save_folder(model, folder):
    """The model as transformers saves it, in bf16."""
    copy.deepcopy(model).bfloat16().save_pretrained(folder)
    (folder / 'generation_config.json').unlink()  # says nothing about a model's numbers


def main(description, configs, make):
    """Calls make(name, folder) for each of `configs`, or for the one that --only names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=pathlib.Path)
    parser.add_argument('--only', choices=configs)
    args = parser.parse_args()
    found = {'transformers': transformers.__version__, 'torch': torch.__version__.split('+')[0]}
    if found != VERSIONS:
        raise SystemExit(f'expected {VERSIONS}, found {found}')
    for name in [args.only] if args.only else configs:
        make(name, args.out)
