"""Worlds as nobody would write them: mutations that know what a config, a manifest and a safetensors file look like."""

import json
import math
import struct
from hashlib import sha256

VALUES = (
    *(None, True, False, "", "x", "pickle", "os:system", "__import__('os')", "\u0000", "../x", [], {}, [[]], {"": 0}),
    *(-1, 0, 1, 2, 3, 1.5, -0.0, 1e308, 1e-320, math.nan, math.inf, -math.inf, 2**31, 2**63, 10**30, "9" * 400),
    *([1] * 5, [3] * 10_000, {"n": 3}, ["z", "z"], "float16"),
)
DTYPES = ("F16", "F32", "F64", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "C64", "X9", "", 3)


def mutate(contents, generator):
    """Other files of a bundle; the manifest mostly vouches for what they are, as a stranger's would."""
    contents = dict(contents)
    name = generator.choice(sorted(contents))
    kind = generator.choice(
        (_bytes, _json if name.endswith(".json") else _header, _json if ".json" in name else _header)
    )
    try:
        contents[name] = kind(contents[name], generator)
    except (ValueError, KeyError, IndexError, struct.error, UnicodeDecodeError):  # no structure is left to mutate
        contents[name] = _bytes(contents[name], generator)
    sums = {name: sha256(data).hexdigest() for name, data in contents.items()}
    if generator.random() < 0.1:
        sums = _change(sums, generator)
    text = json.dumps(sums).encode()
    return contents, _bytes(text, generator) if generator.random() < 0.05 else text


def _bytes(data, generator):
    data = bytearray(data)
    at = generator.randrange(len(data) + 1)
    match generator.randrange(5):
        case 0:
            del data[at : at + generator.choice((1, 8, 10**6))]
        case 1:
            data[at:at] = generator.randbytes(generator.choice((1, 8, 300)))
        case 2:
            data = data[:at]
        case 3:
            data[at : at + 8] = generator.choice((b"\xff" * 8, b"\x00" * 8, struct.pack("<Q", 2**40)))
        case _:
            for _ in range(generator.randrange(1, 20)):
                if data:
                    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return bytes(data)


def _json(data, generator):
    value = json.loads(data)
    for _ in range(generator.choice((1, 1, 1, 2, 5))):
        value = _change(value, generator)
    return json.dumps(value).encode()


def _change(value, generator):
    """Replaces, removes, renames or adds something somewhere in a JSON value."""
    if isinstance(value, dict) and value and generator.random() < 0.9:
        value, key = dict(value), generator.choice(sorted(value))
        match generator.randrange(6):
            case 0:
                del value[key]
            case 1:
                value[generator.choice((key.upper(), "new", "../" + key, "__class__"))] = value.pop(key)
            case 2:
                value[generator.choice(("new", "__init__", "kind", "n", "../x"))] = generator.choice(VALUES)
            case _:
                value[key] = _change(value[key], generator)
        return value
    if isinstance(value, list) and value and generator.random() < 0.6:
        value, at = list(value), generator.randrange(len(value))
        value[at : at + 1] = generator.choice(([], [_change(value[at], generator)], [value[at]] * 2))
        return value
    if isinstance(value, int | float) and generator.random() < 0.5:
        return generator.choice((value + 1, -value, value * 2, value * 10**6, value / 2, float(value), str(value)))
    return generator.choice(VALUES)


def _header(data, generator):
    """Mutates names, types, shapes and offsets in the header of a safetensors file, or its length."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    name = generator.choice(sorted(header))
    entry = dict(header[name])
    match generator.randrange(8):
        case 0:
            entry["dtype"] = generator.choice(DTYPES)
        case 1:
            entry["shape"] = _change(entry["shape"], generator)
        case 2:
            entry["shape"] = generator.choice(([2**40], [2**32, 2**32], [0], [], [-1], [1] * 2000, [1.5], None))
        case 3:
            entry["data_offsets"] = _change(entry["data_offsets"], generator)
        case 4:
            entry = _change(entry, generator)
        case 5:
            header[generator.choice(("evil", "", "../x", "vision.", "bank.branches.z2", name.upper()))] = header.pop(
                name
            )
        case 6:
            other = generator.choice(sorted(header))
            header[name], entry = header[other], header[name]
            header[other] = entry
        case _:
            return struct.pack("<Q", generator.choice((0, 1, length - 1, length + 1, 2**31, 2**63))) + data[8:]
    if name in header:
        header[name] = entry
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
