"""Let torchvision import next to a CPU build of torch. Part of the development set-up, never of the product.

The package index carries torchvision for CUDA only. Next to a CPU torch its compiled operators do not load, and because
they are then not declared either, `import torchvision` fails, and with it stock nnU-Net's look-up of any trainer but
its default. Declaring the two operators (without giving them a body) is enough. Where torchvision imports, this script
does nothing.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

_MARK = "# Added by medmamba's development set-up"
_ADDITION = f"""

{_MARK}: the operators are declared, so that torchvision imports; they have no body.
if not _has_ops():
    _declared = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _declared.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def imports() -> bool:
    """Whether torchvision imports in a fresh process of this interpreter."""
    return subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True).returncode == 0


def main() -> None:
    """Mend torchvision where it is there and does not import; say what was done."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or imports():
        return
    path = Path(spec.origin).with_name("extension.py")
    text = path.read_text(encoding="utf-8")
    if _MARK not in text:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text + _ADDITION, encoding="utf-8")
        os.replace(temporary, path)
    print(
        "torchvision next to a CPU torch:", "mended" if imports() else "still does not import; stock nnU-Net needs it"
    )


if __name__ == "__main__":
    main()
