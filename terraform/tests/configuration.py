"""The configuration in terraform/, parsed: what the tests read.

A value is a string as in the source: of an expression without its `${…}`, of a literal string without its quotation marks. A test that needs
to tell `"true"` from `true` reads the file.
"""

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import hcl2

ROOT = Path(__file__).parent.parent
# Texts in place of those of files, by which test_mutations.py shows that each test can fail.
OVERLAY = {}
OPTIONS = hcl2.SerializationOptions(with_comments=False, strip_string_quotes=True)
BLOCK = "__is_block__"


@dataclass
class Block:
    """A resource, data source or other top-level block."""

    category: str
    labels: tuple
    body: dict
    file: Path

    @property
    def address(self):
        prefix = {"resource": "", "variable": "var.", "output": "output.", "locals": "local"}.get(self.category, self.category + ".")
        return prefix + ".".join(self.labels)


@dataclass
class Module:
    """A folder with .tf files."""

    path: Path
    blocks: list = field(default_factory=list)

    @property
    def name(self):
        return str(self.path.relative_to(ROOT))

    def of(self, category, kind=None):
        return [block for block in self.blocks if block.category == category and (kind is None or block.labels[0] == kind)]

    def one(self, category, *labels):
        found = [block for block in self.of(category) if block.labels == labels]
        assert len(found) == 1, f"{self.name}: {len(found)} of {category} {labels}"
        return found[0].body

    @property
    def locals(self):
        merged = {}
        for block in self.of("locals"):
            merged.update({key: value for key, value in block.body.items() if key != BLOCK})
        return merged

    @property
    def source(self):
        return "\n".join(text(path) for path in sorted(self.path.glob("*.tf")))


# Top-level blocks with one or two labels.
LABELS = {"resource": 2, "data": 2, "ephemeral": 2, "module": 1, "variable": 1, "output": 1, "provider": 1, "locals": 0, "terraform": 0}


def unquoted(name):
    return name.strip('"')


def text(path):
    return OVERLAY.get(path) or path.read_text()


@functools.cache
def parse_text(source):
    return hcl2.loads(source, serialization_options=OPTIONS)


def parse(path):
    try:
        parsed = parse_text(text(path))
    except Exception as error:
        raise AssertionError(f"{path.relative_to(ROOT)} cannot be parsed: {error}") from error
    for category, found in parsed.items():
        if category not in LABELS:
            raise AssertionError(f"{path.relative_to(ROOT)}: unexpected block {category}")
        for body in found:
            labels = []
            for _ in range(LABELS[category]):
                [label] = [key for key in body if key != BLOCK]
                body = body[label]
                labels.append(unquoted(label))
            yield Block(category, tuple(labels), body, path)


@functools.cache
def modules():
    """Every folder with .tf files, by its path."""
    found = {}
    for path in sorted(ROOT.rglob("*.tf")):
        if ".terraform" in path.parts:
            continue
        module = found.setdefault(path.parent, Module(path.parent))
        module.blocks.extend(parse(path))
    assert found, f"no .tf file below {ROOT}"
    return found


def module(name):
    return modules()[ROOT / name]


def library():
    """The modules themselves, without environments and examples."""
    return [found for found in modules().values() if found.path.parent == ROOT / "modules"]


def roots():
    """What `terraform init` runs in: environments and examples."""
    return [found for found in modules().values() if found.path.parent != ROOT / "modules"]


def provider_types():
    return {(block.category, block.labels[0]) for found in modules().values() for block in found.blocks if block.category in ("resource", "data") and block.labels[0].startswith("aws_")}


def nested(value):
    """Every string in a parsed value, keys included."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != BLOCK:
                yield unquoted(key)
                yield from nested(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested(inner)
    elif isinstance(value, str):
        yield value


def text_of(value):
    return "\n".join(nested(value))


def called(found, name):
    """The module that a call names by its source."""
    source = found.one("module", name)["source"]
    return modules()[(found.path / source).resolve()]


def expanded(found, value, seen=()):
    """The text of a value with the text of locals, and of outputs of modules, in place of their names."""
    written = text_of(value)

    def local(match):
        name = match.group(1)
        return match.group(0) if name in seen else "(" + expanded(found, found.locals[name], (*seen, name)) + ")"

    def output(match):
        call, name = match.groups()
        other = called(found, call)
        return match.group(0) + "(" + expanded(other, other.one("output", name)["value"]) + ")"

    written = re.sub(r"\blocal\.(\w+)", local, written)
    return re.sub(r"\bmodule\.(\w+)\.(\w+)", output, written)


def variables_in(written):
    """Names of environment variables that are keys in a text: NAME = value, or NAME alone on a line."""
    return set(re.findall(r"(?:^|[{,(\s])\"?([A-Z][A-Z0-9_]{2,})\"?\s*(?:=(?!=)|$)", written, re.MULTILINE))


def block_list(body, name):
    """The blocks of a name in a body, those of `dynamic` included."""
    found = list(body.get(name, []))
    for dynamic in body.get("dynamic", []):
        for label, inner in dynamic.items():
            if unquoted(label) == name:
                found.extend(inner["content"])
    return found
