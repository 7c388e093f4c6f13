"""Resources, arguments, blocks and references against the provider's schema and each other: what `terraform validate` would report."""

import json
import re
import unittest
from pathlib import Path

import configuration
from configuration import BLOCK, unquoted

SCHEMA = json.loads((Path(__file__).parent / "schema" / "aws.json").read_text())
META = {"count", "for_each", "provider", "depends_on", "lifecycle", "provisioner", "connection", "timeouts"}
# Of hashicorp/random: (arguments, attributes).
RANDOM = {"random_password": ({"length", "special", "keepers"}, {"result"})}


class Provider(unittest.TestCase):
    def blocks(self):
        for module in configuration.modules().values():
            for block in module.blocks:
                if block.category in ("resource", "data", "ephemeral"):
                    yield module, block

    def check_body(self, where, body, schema, meta=frozenset()):
        names = {unquoted(name) for name in body if name not in (BLOCK, "dynamic")} - meta
        dynamic = {unquoted(label): inner for entry in body.get("dynamic", []) for label, inner in entry.items() if label != BLOCK}
        known = set(schema["arguments"]) | set(schema["blocks"])
        for name in sorted((names | set(dynamic)) - known):
            self.fail(f"{where}: `{name}` is not an argument")
        required = {name for name, needed in schema["arguments"].items() if needed} | {name for name, inner in schema["blocks"].items() if inner["required"]}
        self.assertEqual(sorted(required - names - set(dynamic)), [], f"{where}: required")
        for name, inner in schema["blocks"].items():
            found = configuration.block_list(body, name)
            for entry in found:
                self.assertIsInstance(entry, dict, f"{where}: `{name}` is a block, not an argument")
                self.check_body(f"{where}.{name}", entry, inner)
            if not inner["many"] and name not in dynamic:
                self.assertLessEqual(len(found), 1, f"{where}: more than one `{name}`")
        for name in (set(schema["arguments"]) - set(schema.get("opaque", []))) & names:
            value = body.get(name, body.get(f'"{name}"'))
            is_block = isinstance(value, list) and any(isinstance(entry, dict) and BLOCK in entry for entry in value)
            self.assertFalse(is_block, f"{where}: `{name}` is an argument, not a block")

    def test_arguments_and_blocks_are_those_of_the_provider(self):
        for module, block in self.blocks():
            kind = block.labels[0]
            where = f"{module.name}: {block.address}"
            if kind in RANDOM:
                self.assertLessEqual({unquoted(name) for name in block.body} - META - {BLOCK}, RANDOM[kind][0], where)
                continue
            schema = SCHEMA[block.category].get(kind)
            self.assertIsNotNone(schema, f"{where}: no such type in schema/aws.json; run update_schema.py after adding one")
            self.check_body(where, block.body, schema, META)

    def test_schema_has_only_types_that_are_used(self):
        self.assertEqual(
            configuration.provider_types(),
            {(category, kind) for category in ("resource", "data") for kind in SCHEMA[category]},
        )

    def test_required_version_of_the_provider_is_that_of_the_schema(self):
        major_minor = ".".join(SCHEMA["provider"].split(".")[:2])
        for module in configuration.modules().values():
            for block in module.of("terraform"):
                for providers in block.body.get("required_providers", []):
                    self.assertEqual(providers["aws"]["version"], f"~> {major_minor}", module.name)


def without_comments(source):
    return re.sub(r"(?m)^\s*#.*$", "", source)


class References(unittest.TestCase):
    def test_every_reference_has_a_declaration(self):
        for module in configuration.modules().values():
            with self.subTest(module.name):
                self.check_references(module)

    def check_references(self, module):
        # Texts of descriptions and messages are no expressions.
        source = re.sub(r'(?m)^\s*(description|error_message)\s*= ".*"$', "", without_comments(module.source))
        declared = {block.address for block in module.blocks}
        variables = {block.labels[0] for block in module.of("variable")}
        used = set(re.findall(r"\bvar\.(\w+)", source))
        self.assertEqual(used - variables, set(), "variables without a declaration")
        self.assertEqual(variables - used, set(), "variables that nothing uses")
        used = set(re.findall(r"\blocal\.(\w+)", source))
        self.assertEqual(used - set(module.locals), set(), "locals without a declaration")
        self.assertEqual(set(module.locals) - used, set(), "locals that nothing uses")
        for call, output in re.findall(r"\bmodule\.(\w+)(?:\[[^\]]+\])?\.(\w+)", source):
            self.assertIn(f"module.{call}", declared)
            outputs = {block.labels[0] for block in configuration.called(module, call).of("output")}
            self.assertIn(output, outputs, f"output of module {call}")
        for category, kind, name, attribute in re.findall(r"(?<![\w.])((?:data|ephemeral)\.)?((?:aws|random)_\w+)\.(\w+)(?:\[[^\]]+\])?(?:\.(\w+))?", source):
            address = f"{category}{kind}.{name}"
            self.assertIn(address, declared)
            if attribute:
                known = RANDOM[kind][1] if kind in RANDOM else SCHEMA["data" if category else "resource"][kind]["attributes"]
                self.assertIn(attribute, known, f"attribute of {address}")

    def test_each_and_count_are_used_where_they_exist(self):
        for module in configuration.modules().values():
            for block in module.blocks:
                written = configuration.text_of(block.body)
                if block.category not in ("resource", "data", "ephemeral", "module"):
                    continue
                with self.subTest(f"{module.name}: {block.address}"):
                    if re.search(r"\beach\.(key|value)", written):
                        self.assertIn("for_each", block.body)
                    if "count.index" in written:
                        self.assertIn("count", block.body)

    def test_calls_of_modules_give_every_required_variable_and_no_other(self):
        for module in configuration.modules().values():
            for block in module.of("module"):
                with self.subTest(f"{module.name}: {block.address}"):
                    other = configuration.called(module, block.labels[0])
                    given = {unquoted(name) for name in block.body} - {BLOCK, "source", "providers"} - META
                    variables = {variable.labels[0]: variable.body for variable in other.of("variable")}
                    required = {name for name, body in variables.items() if "default" not in body}
                    self.assertEqual(given - set(variables), set(), "no such variables")
                    self.assertEqual(required - given, set(), "required")
