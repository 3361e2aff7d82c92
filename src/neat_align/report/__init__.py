"""The report: one self-contained HTML page."""

from neat_align.report.build import ReportData, build_report

__all__ = ["ReportData", "build_report"]
