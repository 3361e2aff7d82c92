"""Declare what every section of a recipe has in common: unknown keys are errors."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from neat_align.config import LIMITS, SETTINGS, help_of


class Section(BaseModel):
    """Unknown keys are errors, and so are NaN and infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and {wanted, *get_args(wanted)} & {int, float}:
            raise ValueError("it should be a number, and is true or false")
        return value


def like(name: str, gt: float | None = None) -> Any:
    """Declare a key that is one of the settings of `config`: its default, limits and help.

    Args:
        gt: the limit that it must be above here, in place of its lowest value.
    """
    own, (low, high) = SETTINGS[name], LIMITS.get(name, (None, None))
    default = () if own.default is MISSING else own.default
    low = low if gt is None else None
    return Field(default, ge=low, gt=gt, le=high, description=help_of(name))
