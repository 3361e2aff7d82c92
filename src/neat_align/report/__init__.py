"""Reports: one self-contained HTML page for a run."""

from neat_align.report.build import ReportData, build_report
from neat_align.report.saved import saved_data

__all__ = ["ReportData", "build_report", "saved_data"]
