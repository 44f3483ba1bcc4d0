"""The rules that a machine can check: who imports whom, what a package holds, what no file may do."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "gato": "gato",
    "gato.configs": "configs",
    "gato.envs": "envs",
    "gato.released": "checkpoints",
}  # import name to folder

# Package: what it may import of ours, and from others beside the standard library. The same table stands in
# docs/architecture.md. A package names packages above it only, so that the layers have no cycle.
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "gato.files": (set(), {"filelock"}),
    "gato.run_files": (set(), set()),
    "gato.seeds": (set(), {"numpy"}),
    "gato.config": ({"gato.seeds"}, {"numpy"}),
    "gato.batch": (set(), {"numpy"}),
    "gato.envs": (set(), {"gymnasium", "numpy"}),
    "gato.configs": ({"gato.config", "gato.envs"}, set()),
    "gato.tokenizer": ({"gato.config"}, {"numpy", "sentencepiece", "gymnasium.spaces"}),
    "gato.data": (
        {"gato.files", "gato.config", "gato.batch", "gato.tokenizer"},
        {"numpy", "grain", "array_record", "gymnasium", "minari", "h5py", "PIL"}
        | {"av", "datasets", "google.protobuf", "google_crc32c", "pyarrow"},
    ),
    "gato.model": ({"gato.config", "gato.batch"}, {"jax", "flax"}),
    "gato.checkpoint": ({"gato.files", "gato.run_files", "gato.config"}, {"jax", "orbax", "numpy"}),
    "gato.training": (
        {"gato.files", "gato.run_files", "gato.config", "gato.batch", "gato.model", "gato.checkpoint"},
        {"jax", "flax", "optax", "numpy", "rich", "tensorboardX"},
    ),
    "gato.released": (set(), set()),
    "gato.release": (
        {"gato.files", "gato.run_files", "gato.config", "gato.model", "gato.checkpoint", "gato.released"},
        {"jax", "numpy", "safetensors", "sentencepiece", "google.protobuf", "huggingface_hub"},
    ),
    "gato.audit": (
        {"gato.config", "gato.batch", "gato.tokenizer", "gato.data", "gato.model"},
        {"numpy", "gymnasium"},
    ),
    "gato.inference": (
        {"gato.config", "gato.batch", "gato.tokenizer", "gato.model", "gato.release"},
        {"jax", "numpy", "gymnasium.spaces", "gymnasium.vector.utils"},
    ),
    "gato.evaluation": (
        {
            "gato.files",
            "gato.seeds",
            "gato.config",
            "gato.batch",
            "gato.envs",
            "gato.tokenizer",
            "gato.data",
            "gato.inference",
        },
        {"gymnasium", "numpy", "PIL"},
    ),
    "gato.reports": (
        {"gato.config", "gato.tokenizer", "gato.data", "gato.audit", "gato.evaluation"},
        {"gymnasium", "numpy", "matplotlib", "PIL", "jinja2"},
    ),
}
TABLE["gato.experiments"] = (set(TABLE), {"rich", "jax", "numpy", "gymnasium"})
TABLE["gato.cli"] = (set(TABLE), {"tyro", "rich", "jax", "numpy", "PIL"})

OPTIONAL = {"tensorboardX", "huggingface_hub", "datasets"}  # extras, which may be imported inside a function
DYNAMIC_IMPORTERS = {  # simulators, families and formats by name, the user's config files, and the chosen command
    "gato.envs.simulator",
    "gato.envs.catalog",
    "gato.data.sources.formats",
    "gato.experiments.run_configs",
    "gato.cli.main",
}
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}


@cache
def modules() -> dict[str, Path]:
    """Maps every module of ours by import name to its file; packages point to their __init__.py."""
    found = {}
    for name, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([name, *parts]).removesuffix(".__init__")] = path
    return found


@cache
def nodes(module: str) -> list[ast.AST]:
    """Lists every node of a module's syntax tree; the first is the module."""
    return list(ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))))


def body(module: str) -> list[ast.stmt]:
    tree = nodes(module)[0]
    assert isinstance(tree, ast.Module)
    return tree.body


@cache
def imports(module: str) -> list[tuple[ast.Import | ast.ImportFrom, str]]:
    """Lists every import statement of a module, with the full name of each thing that it imports."""
    package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    found: list[tuple[ast.Import | ast.ImportFrom, str]] = []
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found += [(node, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            start = parents[: len(parents) - node.level + 1] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            found += [(node, f"{source}.{alias.name}") for alias in node.names]
    return found


def all_imports() -> Iterator[tuple[str, str, ast.Import | ast.ImportFrom, str]]:
    """Yields (module, "file:line", statement, target) of every import of ours."""
    for module in modules():
        for node, target in imports(module):
            yield module, place(module, node), node, target


def place(module: str, node: ast.stmt | ast.expr | ast.keyword) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{node.lineno}"


@cache
def owner(target: str) -> str | None:
    """Finds the module of ours that an imported name lives in; None if it is not ours."""
    parts = target.split(".")
    names = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((name for name in names if name in modules()), None)


def package_of(module: str) -> str:
    """Returns `gato.data` for `gato.data.sources.text`. `gato` itself, which holds the version, is in no row."""
    return ".".join(module.split(".")[:2])


def is_within(target: str, packages: set[str]) -> bool:
    return any(target == package or target.startswith(f"{package}.") for package in packages)


def test_the_scan_sees_the_tree_and_its_imports() -> None:
    assert {"gato", "gato.model.gato", "gato.envs.catalog", "gato.data.sources"} <= modules().keys()
    assert {"jax", "flax.nnx", "gato.model.cache.Chunk"} <= {target for _, target in imports("gato.model.gato")}
    assert owner("gato.model.cache.Chunk") == "gato.model.cache"
    assert "gato.envs.task.Task" in {target for _, target in imports("gato.envs.catalog")}


def test_every_module_stands_in_a_package_of_the_table() -> None:
    assert {package_of(name) for name in modules()} - {"gato"} == set(TABLE)


def test_packages_name_only_packages_above_them_in_the_table() -> None:
    above: set[str] = set()
    for name, (ours, _) in TABLE.items():
        assert ours <= above, f"{name} names packages that do not stand above it"
        above.add(name)


def test_imports_keep_to_the_table() -> None:
    forbidden = []
    for module, where, _, target in all_imports():
        home, there = package_of(module), owner(target)
        ours, foreign = TABLE.get(home, (set(), set()))
        if there is not None:
            allowed = package_of(there) in ours | {home} or (
                there == "gato" and home in {"gato.experiments", "gato.cli"}
            )
        else:
            allowed = target.split(".")[0] in sys.stdlib_module_names or is_within(target, foreign)
        if not allowed:
            forbidden.append(f"{where}: {home} imports {target}")
    assert forbidden == []


def test_of_the_environments_evaluation_knows_the_task_record_alone() -> None:
    named = {owner(target) for module, _, _, target in all_imports() if package_of(module) == "gato.evaluation"}
    assert {module for module in named if module and package_of(module) == "gato.envs"} == {"gato.envs.task"}


def test_the_table_in_the_docs_is_this_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    written = {}
    for packages, ours, foreign in re.findall(r"^\| (`gato[^|]*) \| ([^|]*) \| ([^|]*) \|$", text, flags=re.MULTILINE):
        names, libraries = (set(re.findall(r"`([^`]+)`", cell)) for cell in (ours, foreign))
        for name in re.findall(r"`([^`]+)`", packages):
            above = set(list(TABLE)[: list(TABLE).index(name)])
            mine = above if ours.startswith("all") else {f"gato.{short}" for short in names}
            written[name] = (mine, libraries)
    assert written == TABLE


def test_no_module_imports_itself_indirectly() -> None:
    arrows = {module: {owner(target) for _, target in imports(module)} - {None, module} for module in modules()}
    finished: set[str | None] = set()

    def visit(module: str | None, path: list[str | None]) -> None:
        assert module not in path, f"import cycle: {[*path[path.index(module) :], module]}"
        if module not in finished:
            for there in arrows[module or ""]:
                visit(there, [*path, module])
            finished.add(module)

    for module in arrows:
        visit(module, [])


def test_imports_are_absolute_in_gato_and_relative_in_envs() -> None:
    wrong = []
    for module, where, node, target in all_imports():
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        if relative != (package_of(module) == "gato.envs" and owner(target) is not None):
            wrong.append(f"{where}: {target}")
    assert wrong == []


def test_imports_name_what_they_take() -> None:
    assert [where for _, where, _, target in all_imports() if target.endswith(".*")] == []


def test_imports_inside_functions_are_of_optional_packages_only() -> None:
    late = []
    for module in modules():
        functions = [node for node in nodes(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        inside = {id(node) for function in functions for node in ast.walk(function)}
        late += [
            f"{place(module, node)}: {target}"
            for node, target in imports(module)
            if id(node) in inside and not is_within(target, OPTIONAL)
        ]
    assert late == []


def test_modules_are_imported_by_a_computed_name_in_few_places_only() -> None:
    found = set()
    for module in modules():
        names = {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}
        names |= {target.rpartition(".")[2] for _, target in imports(module)}
        if names & {"import_module", "exec_module"}:
            found.add(module)
    assert found == DYNAMIC_IMPORTERS


def test_package_list_in_pyproject_is_the_tree() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = [name for name, path in modules().items() if path.name == "__init__.py"]
    assert sorted(setuptools["packages"]) == sorted(packages)
    assert setuptools["package-dir"] == {name: folder for name, folder in FOLDERS.items() if name != folder}


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in modules().values()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", ["envs", "configs"])
def test_mapped_packages_have_no_shadow_inside_gato(name: str) -> None:
    # Even an empty folder of that name would be found first, and hide the real one in silence.
    assert not (ROOT / "gato" / name).exists()
    assert (ROOT / name / "__init__.py").is_file()


def test_init_files_hold_a_docstring_and_re_exports_only() -> None:
    wrong = []
    for module, path in modules().items():
        if path.name != "__init__.py":
            continue
        docstring, *rest = body(module)
        if not (isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)):
            wrong.append(f"{module}: no docstring")
        for node in rest:
            guard = module == "gato.envs" and isinstance(node, ast.If)  # against `import envs`
            assigned = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else None
            if not (guard or isinstance(node, ast.ImportFrom) or assigned in ("__all__", "__version__")):
                wrong.append(place(module, node))
    assert wrong == []


def test_module_names_say_what_is_inside() -> None:
    assert [module for module in modules() if VAGUE_NAMES & set(re.split(r"[._]", module))] == []


def test_nothing_is_unpickled_or_evaluated() -> None:
    unsafe = [where for _, where, _, target in all_imports() if target.split(".")[0] in UNSAFE_MODULES]
    for module in modules():
        for node in nodes(module):
            called = isinstance(node, ast.Name) and node.id in UNSAFE_CALLS
            if called or (isinstance(node, ast.keyword) and node.arg == "allow_pickle"):
                unsafe.append(place(module, node))
    assert unsafe == []
