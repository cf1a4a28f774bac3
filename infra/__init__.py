"""What exists in the cloud, declared with CDK for Terraform: one construct per entity.

Imports neither torch nor any other room; ``scripts`` reads what it deployed from a file of stack
outputs.
"""

import importlib.util
import sys


def _import_bindings_module_by_module() -> None:
    """Keep the provider's bindings from importing all of their 1,400 modules at once.

    Their package imports every resource of the provider: five of a synthesis' seven seconds. Python
    finds submodules through the package object alone, so an empty one is enough; nothing in it
    is needed by a submodule. A package that is already imported stays.
    """
    name = "cdktf_cdktf_provider_google"
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is not None:
        sys.modules[name] = importlib.util.module_from_spec(spec)


_import_bindings_module_by_module()
