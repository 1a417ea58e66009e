from __future__ import annotations

from pose_oad.tracking.errors import nearest


def test_a_name_that_is_close_is_suggested() -> None:
    assert nearest("unifrom", ["uniform", "random"]) == "; did you mean 'uniform'?"


def test_what_is_known_is_listed_as_far_as_it_fits_in_a_line() -> None:
    assert nearest("zzz", ["b", "a"]) == "; known: a, b"
    assert nearest("zzz", []) == ""
    listed = nearest("zzz", (f"name {number:03d}" for number in range(100)))
    assert listed.startswith("; known: name 000, name 001, ")
    assert listed.endswith("name 029, … (100 in all)")
