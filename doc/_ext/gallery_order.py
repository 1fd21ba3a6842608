"""Order of the gallery: the quick start first, then from short to long."""

from sphinx_gallery.sorting import NumberOfCodeLinesSortKey


class QuickStartFirst(NumberOfCodeLinesSortKey):
    """Sort key of the names of examples."""

    def __call__(self, filename):
        return filename != "plot_quick_start.py", super().__call__(filename)
