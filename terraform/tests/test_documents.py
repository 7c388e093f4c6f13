"""Each module has a README with its inputs and outputs, described variables, and an example.

`python3 test_documents.py --write` writes the tables of the READMEs.
"""

import re
import sys
import unittest

import configuration

BEGIN, END = "<!-- inputs and outputs: written by test_documents.py --write -->", "<!-- end of inputs and outputs -->"


def source_of(module, category, name, argument):
    """An argument as in the source, on one line."""
    found = re.search(rf'^{category} "{name}" \{{\n(.*?)^\}}', module.source, re.MULTILINE | re.DOTALL)
    value = re.search(rf"^  {argument} += (.*?)(?=^  \w|^\s*$|\Z)", found.group(1), re.MULTILINE | re.DOTALL)
    return None if value is None else re.sub(r"\s+", " ", value.group(1)).strip()


def tables(module):
    lines = [BEGIN, "", "| input | type | default | meaning |", "|---|---|---|---|"]
    for block in module.of("variable"):
        name = block.labels[0]
        kind = source_of(module, "variable", name, "type")
        default = source_of(module, "variable", name, "default")
        default = "required" if default is None else f"`{default}`" if len(default) < 60 else "see `variables.tf`"
        kind = f"`{kind.split('(')[0]}`" if len(kind) > 40 else f"`{kind}`"
        lines.append(f"| `{name}` | {kind} | {default} | {block.body['description'].replace('|', chr(92) + '|')} |")
    if not module.of("variable"):
        lines = [BEGIN, "", "No input."]
    lines += ["", "| output | meaning |", "|---|---|"]
    lines += [f"| `{block.labels[0]}` | {block.body['description'].replace('|', chr(92) + '|')} |" for block in module.of("output")]
    return "\n".join([*lines, "", END])


class Documents(unittest.TestCase):
    def test_variables_and_outputs_are_described(self):
        for module in configuration.modules().values():
            for block in module.of("variable"):
                with self.subTest(f"{module.name}: {block.address}"):
                    self.assertIn("type", block.body)
                    self.assertRegex(block.body.get("description", ""), r"^[A-Z].*[.]$")
                    for validation in block.body.get("validation", []):
                        self.assertIn(f"var.{block.labels[0]}", configuration.text_of(validation["condition"]))
                        self.assertRegex(validation["error_message"], r"^[A-Z].*[.]$")
            for block in module.of("output"):
                with self.subTest(f"{module.name}: {block.address}"):
                    self.assertRegex(block.body.get("description", ""), r"^[A-Z].*[.]$")

    def test_files_of_each_module_are_complete(self):
        for module in configuration.library():
            with self.subTest(module.name):
                for file in ("main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "examples/basic/main.tf"):
                    self.assertTrue((module.path / file).is_file(), file)
                example = configuration.modules()[module.path / "examples" / "basic"]
                self.assertTrue(any(configuration.called(example, block.labels[0]) is module for block in example.of("module")), "the example calls the module")

    def test_readmes_list_inputs_and_outputs(self):
        for module in configuration.library():
            with self.subTest(module.name):
                self.assertIn(tables(module), configuration.text(module.path / "README.md"), "run test_documents.py --write")

    def test_readme_lists_every_module(self):
        readme = configuration.text(configuration.ROOT / "README.md")
        for module in configuration.library():
            self.assertIn(f"(modules/{module.path.name}/README.md)", readme)


def write():
    for module in configuration.library():
        readme = module.path / "README.md"
        written = readme.read_text()
        head, _, rest = written.partition(BEGIN)
        _, _, tail = rest.partition(END)
        readme.write_text(f"{head.rstrip()}\n\n{tables(module)}\n{tail.lstrip()}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        unittest.main()
