"""GGUF files for the checks against peers: what is in one, and new ones written tensor by tensor. Needs numpy."""
import struct

import numpy as np

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, U32: 4, I32: 4, F32: 4, BOOL: 1, 10: 8, 11: 8, 12: 8}
# name -> (ggml's number, weights a block, bytes a block)
TYPES = {'F32': (0, 1, 4), 'F16': (1, 1, 2), 'Q5_0': (6, 32, 22), 'Q8_0': (8, 32, 34), 'BF16': (30, 1, 2), 'Q4_K': (12, 256, 144), 'Q6_K': (14, 256, 210),
         'MXFP4': (39, 32, 17)}
DECODED = {'F32', 'F16', 'BF16', 'Q8_0'}  # by decode()
ALIGNMENT = 32


def _value_end(data, kind, at):
    if kind == STRING:
        return at + 8 + struct.unpack_from('<Q', data, at)[0]
    if kind != ARRAY:
        return at + SIZES[kind]
    item, count = struct.unpack_from('<IQ', data, at)
    at += 12
    if item in SIZES:
        return at + count * SIZES[item]
    for _ in range(count):
        at = _value_end(data, item, at)
    return at


def read(path):
    """(keys, tensors): keys as {name: (type, raw bytes)}, tensors as {name: (dims, type's name, raw bytes)}."""
    data = memoryview(open(path, 'rb').read())
    tensor_count, key_count = struct.unpack_from('<QQ', data, 8)
    at = 24

    def name():
        nonlocal at
        length = struct.unpack_from('<Q', data, at)[0]
        at += 8 + length
        return bytes(data[at - length:at]).decode()

    keys, infos = {}, []
    for _ in range(key_count):
        key = name()
        kind = struct.unpack_from('<I', data, at)[0]
        end = _value_end(data, kind, at + 4)
        keys[key] = (kind, bytes(data[at + 4:end]))
        at = end
    for _ in range(tensor_count):
        tensor, rank = name(), struct.unpack_from('<I', data, at)[0]
        dims = struct.unpack_from(f'<{rank}Q', data, at + 4)
        number, offset = struct.unpack_from('<IQ', data, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        kind = next(k for k, (n, _, _) in TYPES.items() if n == number)
        infos.append((tensor, dims, kind, offset))
    start = -(-at // ALIGNMENT) * ALIGNMENT
    return keys, {t: (dims, kind, data[start + offset:start + offset + byte_size(dims, kind)]) for t, dims, kind, offset in infos}


def byte_size(dims, kind):
    _, block, size = TYPES[kind]
    assert dims[0] % block == 0, (dims, kind)
    return int(np.prod(dims)) // block * size


def string(text):
    return struct.pack('<Q', len(text.encode())) + text.encode()


def strings(raw):
    """The texts of a raw array of strings."""
    count, at, found = struct.unpack_from('<Q', raw, 4)[0], 12, []
    for _ in range(count):
        end = _value_end(raw, STRING, at)
        found.append(raw[at + 8:end].decode())
        at = end
    return found


def array(values):
    """A raw array: of strings, or of numbers as I32."""
    if isinstance(values[0], str):
        return struct.pack('<IQ', STRING, len(values)) + b''.join(map(string, values))
    return struct.pack(f'<IQ{len(values)}i', I32, len(values), *values)


def key(value):
    """A key's value as (type, raw bytes): bool, int (as U32, llama.cpp is strict), float or str."""
    if isinstance(value, bool):
        return BOOL, struct.pack('<?', value)
    if isinstance(value, int):
        return U32, struct.pack('<I', value)
    if isinstance(value, float):
        return F32, struct.pack('<f', value)
    return STRING, string(value)


def write(path, keys, tensors, data_of):
    """keys as read() gives them; tensors: [(name, dims, type's name)], the contiguous dimension first;
    data_of(name, dims, type) gives one tensor's bytes at a time, so that no file need fit into memory."""
    with open(path, 'wb') as file:
        file.write(b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(keys)))
        for name, (kind, raw) in keys.items():
            file.write(string(name) + struct.pack('<I', kind) + raw)
        offset = 0
        for name, dims, kind in tensors:
            shape = struct.pack(f'<I{len(dims)}Q', len(dims), *dims)
            file.write(string(name) + shape + struct.pack('<IQ', TYPES[kind][0], offset))
            offset += -(-byte_size(dims, kind) // ALIGNMENT) * ALIGNMENT
        for tensor in tensors:
            file.write(b'\0' * (-file.tell() % ALIGNMENT))
            data = data_of(*tensor)
            assert len(data) == byte_size(*tensor[1:]), tensor
            file.write(data)
        file.write(b'\0' * (-file.tell() % ALIGNMENT))


def encode(values, kind):
    """Floats as bytes of a type."""
    values = np.ascontiguousarray(values, '<f4').ravel()
    if kind == 'F32':
        return values.tobytes()
    if kind == 'F16':
        return values.astype('<f2').tobytes()
    if kind == 'BF16':
        bits = values.view('<u4').astype(np.uint64)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype('<u2').tobytes()
    blocks = values.reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    whole = np.rint(blocks / np.where(scale > 0, scale, 1)).astype(np.int8)
    return np.hstack([scale.astype('<f2').view(np.int8), whole]).tobytes()


def decode(raw, kind):
    """Bytes of a type as floats."""
    if kind == 'F32':
        return np.frombuffer(raw, '<f4')
    if kind == 'F16':
        return np.frombuffer(raw, '<f2').astype('<f4')
    if kind == 'BF16':
        return (np.frombuffer(raw, '<u2').astype('<u4') << 16).view('<f4')
    blocks = np.frombuffer(raw, np.int8).reshape(-1, 34)
    return (blocks[:, :2].copy().view('<f2').astype('<f4') * blocks[:, 2:]).ravel()


def write_as_f32(source, path):
    """The same model with F32 weights."""
    keys, tensors = read(source)
    plain = [(name, dims, 'F32') for name, (dims, _, _) in tensors.items()]
    write(path, keys, plain, lambda name, *_: decode(tensors[name][2], tensors[name][1]).tobytes())
