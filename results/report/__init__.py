"""A run as one HTML file that opens anywhere, without a network: the answer, what was asked, the front, tables, curves,
failures, environment."""

from results.report.file import default_path, write_report
from results.report.render import report_html

__all__ = ["default_path", "report_html", "write_report"]
