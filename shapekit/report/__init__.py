"""In: what the pipeline measured of a spine (a Subject). Out: report.html, one file that needs nothing else, and figures for papers."""

from shapekit.report.page import InlineReport, report_html
from shapekit.report.subject import Subject

__all__ = ["InlineReport", "Subject", "report_html"]
