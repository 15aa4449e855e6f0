"""Landing zones: what lies in a directory or under an S3 prefix, and its bytes. Never written to.

Nothing is moved, renamed or deleted there, and only regular files are opened. A name is data: it
is percent-encoded in a file's `uri`, and becomes no path of ours.
"""

from include.evergreen.adapters.landing.directory import DirectoryLanding
from include.evergreen.adapters.landing.s3 import S3Landing
from include.evergreen.adapters.landing.zone import Landing
from include.evergreen.effects import read
from include.evergreen.settings import Settings

__all__ = ["DirectoryLanding", "Landing", "S3Landing", "open_landing"]


@read
def open_landing(uri: str, settings: Settings) -> Landing:
    """The landing zone at a directory or `s3://bucket/prefix/`. Opening it touches nothing."""
    if uri.startswith("s3://"):
        return S3Landing(uri, settings.s3)
    return DirectoryLanding(uri)
