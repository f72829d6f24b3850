"""The one error of the importer."""


class ImportFailure(Exception):
    """Why a checkpoint cannot be imported: names the file and the field, and says what would be right."""
