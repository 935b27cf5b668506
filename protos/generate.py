"""Generates protos/gen from the .proto files; with --check, only compares (exit 1 when stale)."""

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def generate(target: Path) -> None:
    """Write the Python modules of every .proto file below `target`."""
    sources = sorted(str(path.relative_to(HERE)) for path in (HERE / "matrix").rglob("*.proto"))
    outputs = [f"--{kind}={target}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", *outputs, *sources]
    subprocess.run(command, check=True, cwd=HERE)
    for folder in (target / "matrix").rglob("*"):
        if folder.is_dir():
            (folder / "__init__.py").touch()
    (target / "matrix" / "__init__.py").touch()


def stale(fresh: Path, committed: Path) -> list[str]:
    """Return the files that differ between two trees."""
    names = {p.relative_to(root) for root in (fresh, committed) for p in root.rglob("*.py*")}
    names = {name for name in names if name.suffix in {".py", ".pyi"}}
    return sorted(
        str(name)
        for name in names
        if not (fresh / name).exists()
        or not (committed / name).exists()
        or not filecmp.cmp(fresh / name, committed / name, shallow=False)
    )


def main() -> int:
    """Generate, or check."""
    committed = HERE / "gen"
    if "--check" not in sys.argv:
        shutil.rmtree(committed, ignore_errors=True)
        committed.mkdir()
        generate(committed)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        differing = stale(Path(scratch), committed)
    for name in differing:
        print(f"protos/gen/{name} is stale: run `make protos`")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
