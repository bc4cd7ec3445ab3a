"""`pte recommend` of a run whose folder was damaged."""

import pytest
import yaml

from pte.engine.inference.recommend import read_config
from pte.schema import InputError

WHOLE = {name: {} for name in ("representation", "backbone", "optimizer", "trainer")} | {"seed": 0}


def test_a_whole_configuration_is_read(tmp_path):
    (tmp_path / "config.resolved.yaml").write_text(yaml.safe_dump(WHOLE))
    assert read_config(tmp_path) == WHOLE


@pytest.mark.parametrize(
    "content",
    [None, b"", b"[1, 2]\n", b"a: [", b"\xff\xfe", yaml.safe_dump(WHOLE).partition("seed")[0].encode(), b"5\n"],
)
def test_a_damaged_configuration_is_told_with_its_file(tmp_path, content):
    file = tmp_path / "config.resolved.yaml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"config\.resolved\.yaml cannot be read .*: run its command again"):
        read_config(tmp_path)
