"""A run written up as one HTML file, as a paper's supplement is. Imported when used: it imports matplotlib."""

from __future__ import annotations

from nas.report.page import report as report
from nas.report.write import watch_report as watch_report
from nas.report.write import write_report as write_report
