import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_shipped_files_have_the_checksums_they_are_listed_with():
    listed = dict(reversed(line.split()) for line in (ROOT / "data" / "SHA256SUMS").read_text().splitlines())
    shipped = {str(path.relative_to(ROOT / "data")) for path in (ROOT / "data").glob("*/*") if path.is_file() and path.suffix != ".py"}
    assert set(listed) == shipped
    for name, checksum in listed.items():
        assert hashlib.sha256((ROOT / "data" / name).read_bytes()).hexdigest() == checksum, name
