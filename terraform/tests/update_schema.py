"""Writes schema/aws.json: arguments, blocks and attributes of the resources and data sources that the modules use.

The source is the npm package @cdktf/provider-aws, whose type declarations are generated from the provider's schema. It is 400 MB, so the
extract is committed, and this program runs only when a module uses another type or the provider's version changes:

    npm install --no-save --ignore-scripts --legacy-peer-deps --prefix FOLDER @cdktf/provider-aws@VERSION
    python3 terraform/tests/update_schema.py FOLDER/node_modules/@cdktf/provider-aws
"""

import json
import re
import sys
from pathlib import Path

import configuration

SCHEMA = Path(__file__).parent / "schema" / "aws.json"
INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
PROPERTY = re.compile(r"/\*\*(.*?)\*/\s*readonly (\w+)(\??): ([^;]+|\{[^}]*\});", re.DOTALL)
GETTER = re.compile(r"^    get (\w+)\(\)", re.MULTILINE)
LINK = re.compile(r"/docs/(?:resources|data-sources)/\w+#(\w+) ")


def snake(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def block(interfaces, name):
    """The description of a block: its arguments and, by name, its blocks."""
    arguments, blocks, opaque = {}, {}, []
    for comment, _, optional, kind in PROPERTY.findall(interfaces[name]):
        link = LINK.search(comment)
        if link is None:
            continue
        argument = link.group(1)
        required = optional == ""
        # A block of unlimited depth, such as a statement of a firewall, has no type.
        if re.match(r"\s*any\b", kind):
            opaque.append(argument)
        nested = next((other for other in re.findall(r"\w+", kind) if other in interfaces), None)
        if nested is not None and re.search(rf"^\s*\*\s+{argument} block", comment, re.MULTILINE):
            blocks[argument] = {"required": required, "many": "[]" in kind, **block(interfaces, nested)}
        else:
            arguments[argument] = required
    return {"arguments": arguments, "blocks": blocks, **({"opaque": opaque} if opaque else {})}


def describe(package, category, kind):
    name = kind.removeprefix("aws_").replace("_", "-")
    folder = package / "lib" / (f"data-aws-{name}" if category == "data" else name)
    text = (folder / "index.d.ts").read_text()
    # Types of a resource with many blocks are in files of their own.
    interfaces = {}
    for file in [folder / "index.d.ts", *sorted(folder.glob("index-structs/*.d.ts"))]:
        interfaces.update(INTERFACE.findall(file.read_text()))
    config = re.search(r"^export interface (\w+) extends cdktf.TerraformMetaArguments", text, re.MULTILINE).group(1)
    described = block(interfaces, config)
    main_class = text[text.index("extends cdktf.Terraform" + ("DataSource" if category == "data" else "Resource")):]
    getters = {snake(getter) for getter in GETTER.findall(main_class)}
    described["attributes"] = sorted({getter for getter in getters if not getter.endswith("_input")} | set(described["arguments"]))
    return described


def main():
    package = Path(sys.argv[1])
    version = re.search(r"aws provider version (\S+)", package.joinpath("README.md").read_text(), re.IGNORECASE).group(1)
    schema = {"provider": version, "resource": {}, "data": {}}
    for category, kind in sorted(configuration.provider_types()):
        schema[category][kind] = describe(package, category, kind)
    SCHEMA.parent.mkdir(exist_ok=True)
    # A line for each type, so that a difference can be read.
    lines = [f'"provider": {json.dumps(version)}']
    for category in ("resource", "data"):
        types = ",\n".join(f"{json.dumps(kind)}: {json.dumps(described, sort_keys=True)}" for kind, described in sorted(schema[category].items()))
        lines.append(f'"{category}": {{\n{types}\n}}')
    SCHEMA.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"wrote {len(schema['resource'])} resources and {len(schema['data'])} data sources of provider {version}")


if __name__ == "__main__":
    main()
