"""Makes the component: componentize-py puts CPython and your modules into one file.

    python3 build.py [--wit FOLDER] [--world NAME] [--out FILE]
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import venv

os.chdir(pathlib.Path(__file__).resolve().parent)
project = json.loads(pathlib.Path("till.json").read_text())
parser = argparse.ArgumentParser()
parser.add_argument("--wit", default="wit")
parser.add_argument("--world", default=project["slot"])
parser.add_argument("--out", default=project["wasm"])
options = parser.parse_args()

# The tools, exactly those of requirements.txt. The first time this needs the network.
tools = pathlib.Path(".venv", "Scripts" if os.name == "nt" else "bin")
stamp = pathlib.Path(".venv", ".requirements-sha256")
wanted = hashlib.sha256(pathlib.Path("requirements.txt").read_bytes()).hexdigest()
if not stamp.exists() or stamp.read_text() != wanted:
    try:
        venv.create(".venv", with_pip=True, clear=True)
    except (subprocess.CalledProcessError, ImportError):
        sys.exit("python3 cannot make a virtual environment here; on Debian: apt-get install python3-venv")
    pip = [tools / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", "requirements.txt"], check=True)
    stamp.write_text(wanted)

componentize = [tools / "componentize-py", "--quiet", "--wit-path", options.wit, "--world", options.world]

# For your editor: the types of the contract. The component has its own copy inside.
shutil.rmtree("typings", ignore_errors=True)
subprocess.run([*componentize, "bindings", "typings"], check=True)

# `--stub-wasi`: Python always asks for sockets, and a component gets none. till_guest.py stands in for
# what is missed: it writes prints and exceptions to the log.
pathlib.Path(options.out).parent.mkdir(parents=True, exist_ok=True)
build = [*componentize, "componentize", "--stub-wasi", "component", "--python-path", "src", "--output", options.out]
sys.exit(subprocess.run(build).returncode)
