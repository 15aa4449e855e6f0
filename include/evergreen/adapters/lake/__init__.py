"""The lake: Delta tables to which rows come exactly once, and the frozen parts of snapshots.

Delta and polars are known here only. A model has four tables (`rows`, `labels`, `quarantine`,
`requests`) under `<lake>/<model>/`, on a local directory or on S3. Every row of every table
carries `_batch`: the Delta version of the commit that brought it, so that `_batch > v` means
"came after version v".
"""

from include.evergreen.adapters.lake.append import Append
from include.evergreen.adapters.lake.tables import Lake, TableName

__all__ = ["Append", "Lake", "TableName"]
