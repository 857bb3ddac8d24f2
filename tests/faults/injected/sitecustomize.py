"""Harm to the product from within: Python imports this module at its start where its folder is on PYTHONPATH, so also
in Ray's workers and in what they fork.

NAS_TEST_FAULTS is JSON, {module: code}: the code runs in the module's namespace once the module is imported.
"""

import importlib.abc
import importlib.machinery
import json
import os
import sys
from typing import Any

FAULTS: dict[str, str] = json.loads(os.environ["NAS_TEST_FAULTS"])


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in FAULTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        plain = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            plain(module)
            exec(FAULTS[name], module.__dict__)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
