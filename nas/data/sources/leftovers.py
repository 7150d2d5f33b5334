"""What tools and operating systems leave beside images, at any depth: no image and no class."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Besides every name that begins with a dot (.ipynb_checkpoints, ._photo.jpg, .DS_Store, .AppleDouble, .Trash-1000,
# .dropbox.cache, .git, .thumbnails, ...). Lower case, for the systems that leave them do not tell.
_PATTERNS = (
    # macOS
    *("__macosx", "icon\r", "network trash folder", "temporary items", "thevolumesettingsfolder"),
    # Windows
    *("thumbs.db", "thumbs.db:*", "ehthumbs*.db", "desktop.ini", "$recycle.bin", "recycler", "found.???"),
    *("system volume information", "*:zone.identifier"),
    # Linux
    *("lost+found", "aquota.user", "aquota.group"),
    # network storage: Synology, QNAP, NetApp
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot"),
    # copies made by what synchronises folders
    *("*conflicted copy*", "*.sync-conflict-*"),
    # editors, office and download programs
    *("*~", "~$*", "*.tmp", "*.swp", "*.part", "*.crdownload", "__pycache__", "_vti_cnf", "_notes", "cvs", "_svn"),
)


def is_leftover(name: str) -> bool:
    """Tell by its name whether a file or folder was left by a tool, not put there by whoever made the data set."""
    return name.startswith(".") or any(fnmatchcase(name.lower(), pattern) for pattern in _PATTERNS)
