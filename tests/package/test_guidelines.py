# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What Blender's reviewers of extensions look for, as far as the source alone can show it."""

import ast
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / "__init__.py", *sorted((ROOT / "vrn_blender").rglob("*.py"))]
MANIFEST = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))

NETWORK_MODULES = {"ftplib", "http", "httpx", "requests", "socket", "urllib", "urllib3"}
INFERENCE_MODULES = {"PIL", "cv2", "mediapipe", "onnxruntime", "scipy", "skimage"}
ADDON = sorted((ROOT / "vrn_blender" / "addon").rglob("*.py"))
DOWNLOADER = ROOT / "vrn_blender" / "worker" / "download.py"
WORKER_CLIENT = ROOT / "vrn_blender" / "worker" / "client.py"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_packages(path: Path) -> set[str]:
    """Name every package that a file imports by its absolute name."""
    modules: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


def called(nodes: Iterable[ast.AST]) -> set[str]:
    return {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}


def assigned(nodes: Iterable[ast.AST]) -> set[str]:
    targets: list[ast.expr] = []
    for node in nodes:
        if isinstance(node, ast.Assign):
            targets.extend(node.targets)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets.append(node.target)
    return {ast.unparse(target).partition("[")[0] for target in targets}


def run_on_import(path: Path) -> Iterator[ast.AST]:
    """Walk over what runs when a module is imported: not over the bodies of functions."""
    waiting: list[ast.AST] = [parsed(path)]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def offenders(breaks_rule: Callable[[Path], bool], files: Sequence[Path] = SHIPPED) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in files if breaks_rule(path)]


def test_every_shipped_file_names_its_licence() -> None:
    licence = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
    assert offenders(lambda path: not path.read_text(encoding="utf-8").startswith(licence)) == []


def test_own_modules_are_imported_relatively() -> None:
    own = {"bl_ext", "models", "tests", "vrn_blender", "wheels"}
    assert offenders(lambda path: bool(imported_packages(path) & own)) == []


def test_nothing_is_installed_at_run_time() -> None:
    installers = {"ensurepip", "pip", "setuptools", "venv"}

    def installs(path: Path) -> bool:
        words = {node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)}
        return bool(imported_packages(path) & installers or words & installers)

    assert offenders(installs) == []


def test_module_search_path_is_left_alone() -> None:
    methods = {f"sys.path.{name}" for name in ("append", "extend", "insert", "remove", "clear")}

    def changes_it(path: Path) -> bool:
        nodes = list(ast.walk(parsed(path)))
        calls = called(nodes) & {*methods, "site.addsitedir"}
        return bool(calls or assigned(nodes) & {"sys.path", "sys.modules"})

    assert offenders(changes_it) == []


def test_nothing_is_evaluated_from_text_and_no_shell_is_called() -> None:
    forbidden = {"compile", "eval", "exec", "os.popen", "os.system"}

    def evaluates(path: Path) -> bool:
        nodes = list(ast.walk(parsed(path)))
        keywords = {node.arg for node in nodes if isinstance(node, ast.keyword)}
        return bool(called(nodes) & forbidden or "shell" in keywords)

    assert offenders(evaluates) == []


def test_internet_is_used_in_one_file_only() -> None:
    assert offenders(lambda path: bool(imported_packages(path) & NETWORK_MODULES)) == [
        str(DOWNLOADER.relative_to(ROOT))
    ]


def test_blender_is_asked_whether_the_internet_may_be_used() -> None:
    assert offenders(lambda path: "bpy.app.online_access" in path.read_text(), ADDON) != []


def test_importing_runs_no_operator() -> None:
    def operates(path: Path) -> bool:
        return any(name.startswith("bpy.ops.") for name in called(run_on_import(path)))

    assert offenders(operates) == []


def test_blenders_process_stays_free_of_inference_libraries_and_threads() -> None:
    unwanted = {*INFERENCE_MODULES, "multiprocessing", "threading"}
    files = [*ADDON, WORKER_CLIENT]
    assert offenders(lambda path: bool(imported_packages(path) & unwanted), files) == []


def test_add_ons_own_files_go_into_the_folder_that_blender_gives() -> None:
    assert offenders(lambda path: "bpy.utils.extension_path_user" in path.read_text(), ADDON) != []
    assert offenders(lambda path: "__file__" in path.read_text(), ADDON) == []


def test_every_permission_has_a_reason_that_blender_can_show() -> None:
    assert set(MANIFEST["permissions"]) == {"files", "network"}
    for reason in [*MANIFEST["permissions"].values(), MANIFEST["tagline"]]:
        assert 0 < len(reason) <= 64
        assert reason[-1].isalnum()


def test_name_leaves_blenders_to_blender_and_the_old_bl_info_is_gone() -> None:
    assert "blender" not in MANIFEST["name"].lower()
    assert offenders(lambda path: "bl_info" in assigned(ast.walk(parsed(path)))) == []


def test_manifest_is_for_an_add_on_with_a_semantic_version_and_a_lowest_blender() -> None:
    assert (MANIFEST["schema_version"], MANIFEST["type"]) == ("1.0.0", "add-on")
    for version in (MANIFEST["version"], MANIFEST["blender_version_min"]):
        assert all(part.isdigit() for part in version.split("."))
        assert version.count(".") == 2
    # What wheels of several platforms need.
    assert MANIFEST["blender_version_min"] == "4.2.0"


def test_everything_that_blender_is_told_of_carries_the_add_ons_prefix() -> None:
    names = [
        str(node.value.value)
        for path in ADDON
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "bl_idname"
        and isinstance(node.value, ast.Constant)
    ]
    assert len(names) > 5
    assert [name for name in names if not name.startswith(("vrn.", "VRN_"))] == []


def test_what_is_hooked_into_blender_is_taken_out_again() -> None:
    pairs = {
        "bpy.app.handlers": ".remove(",
        "bpy.app.timers.register": "bpy.app.timers.unregister",
        "draw_handler_add": "draw_handler_remove",
        "event_timer_add": "event_timer_remove",
        "keymap_items.new": "keymap_items.remove",
        "register_class": "unregister_class",
        "register_cli_command": "unregister_cli_command",
    }

    def stays(path: Path) -> bool:
        text = path.read_text(encoding="utf-8")
        return any(added in text and removed not in text for added, removed in pairs.items())

    assert offenders(stays, ADDON) == []


def test_own_code_is_readable_source_and_nothing_compiled() -> None:
    kinds = {
        path.suffix
        for path in (ROOT / "vrn_blender").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kinds <= {".py", ".npz", ".json"}
    longest = max(
        len(line) for path in SHIPPED for line in path.read_text(encoding="utf-8").splitlines()
    )
    assert longest <= 100


def test_licence_is_gpl_and_its_text_is_shipped() -> None:
    assert MANIFEST["license"] == ["SPDX:GPL-3.0-or-later"]
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_tests_training_and_tools_stay_out_of_the_zip() -> None:
    excluded = set(MANIFEST["build"]["paths_exclude_pattern"])
    assert {"/tests/", "/models/training/", "/wheels/", ".*", "__pycache__/"} <= excluded
