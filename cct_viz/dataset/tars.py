"""Pictures in tar files, as WebDataset keeps them: the files of a sample follow each other and share their name up to
the first dot, as in `7.jpg` and `7.cls`.

Reference: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ..images.decode import MAX_BYTES
from .chunks import CHUNK, Broken, Chunk, Item

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp")
LONGEST_LABEL = 1_000  # bytes of a .cls file


@dataclass(frozen=True)
class Member:
    """A picture in a tar: its name there, with a number if it is repeated, and the place (offset, size) in bytes of it
    and of its .cls file."""

    name: str
    place: tuple[int, int]
    label: tuple[int, int] | None


@dataclass(frozen=True)
class TarRange:
    """Pictures of one uncompressed tar file. `name` is that of the tar in the data set."""

    fs: Any
    path: str
    name: str
    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def read(self, names: Collection[str] | None = None) -> Iterator[Item]:
        with self.fs.open(self.path, "rb") as file:
            for member in self.members:
                name, size = f"{self.name}/{member.name}", member.place[1]
                if names is not None and name not in names:
                    continue
                if size > MAX_BYTES:
                    yield Item(name, problem=f"It has {size / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read.")
                    continue
                label = _read_label(_read(file, member.label)) if member.label else None
                yield Item(name, _read(file, member.place), label)

    def listing(self) -> Iterator[str]:
        for member in self.members:
            yield f"{self.name}/{member.name}\t{member.place}"


def list_tar(fs: Any, path: str, name: str) -> Iterator[Chunk]:
    """The chunks of a tar file. Reads its headers only, in one pass."""
    if not path.endswith(".tar"):
        yield Broken(name, "It is compressed, so no picture can be read without those before it; unpack it to a .tar.")
        return
    found: list[tuple[str, Member]] = []
    labels: dict[str, tuple[int, int]] = {}
    try:
        with fs.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            end = _find_pictures(tar, found, labels)
            file.seek(end)
            whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)  # tarfile ends at damage without an error
    except tarfile.TarError:
        whole = False
    members, seen = [], Counter[str]()
    for sample, member in found:
        seen[member.name] += 1  # a tar may have two members of one name
        number = f" ({seen[member.name]})" if seen[member.name] > 1 else ""
        members.append(Member(member.name + number, member.place, labels.get(sample)))
    for start in range(0, len(members), CHUNK):
        yield TarRange(fs, path, name, tuple(members[start : start + CHUNK]))
    if not whole:
        yield Broken(name, f"It is damaged or ends too early, behind {len(members)} pictures, which are read.")
    elif not members:
        yield Broken(name, f"It has no pictures: no name ends in {', '.join(PICTURES)}.")


def _find_pictures(tar: tarfile.TarFile, found: list[tuple[str, Member]], labels: dict[str, tuple[int, int]]) -> int:
    """Collect (sample, picture) and the places of the .cls files by sample; returns where the last member ends."""
    end = 0
    while member := tar.next():
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        folder, slash, base = member.name.rpartition("/")
        sample, place = folder + slash + base.partition(".")[0], (member.offset_data, member.size)
        if not member.isfile() or base.startswith("."):
            continue
        if base.lower().endswith(PICTURES):
            found.append((sample, Member(member.name, place, None)))
        elif base.endswith(".cls") and member.size <= LONGEST_LABEL:
            labels[sample] = place
    return end


def _read(file: Any, place: tuple[int, int]) -> bytes:
    file.seek(place[0])
    return file.read(place[1])


def _read_label(content: bytes) -> str | int | None:
    text = content.decode("utf-8", errors="replace").strip()
    return int(text) if text.isdecimal() else text or None
