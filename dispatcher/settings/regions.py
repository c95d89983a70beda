"""The territory's regions: listed in the main file, read from GeoJSON, or one that is called like the sender."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, Field, ValidationError

from dispatcher.model.cap import Region, RegionId
from dispatcher.model.errors import ConfigurationError, Problem
from dispatcher.settings.schema import Ags, Main, Name, RegionEntry
from dispatcher.settings.sources import Sources

_TRANSLITERATED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_GIVEN = "give every region an id and a name of its own"


class _Properties(BaseModel):
    name: Name
    id: str = ""
    ags: Ags = ""
    kind: str = ""

    @property
    def is_district(self) -> bool:
        """Whether this feature is a district with a key and a name."""
        return self.kind in ("Landkreis", "Kreis")


class _Feature(BaseModel):
    properties: _Properties


class _Collection(BaseModel):
    features: tuple[_Feature, ...] = Field(min_length=1)


def load_regions(main: Main, sources: Sources) -> tuple[Region, ...]:
    """Regions in the order of their file; none configured means one that stands for the whole territory.

    Raises `ConfigurationError` where the GeoJSON cannot be read or two regions share an id.
    """
    if main.regions_file is None:
        found = main.regions or (RegionEntry(id="home", name=main.sender.name),)
        file, field = sources.main, "regions"
    else:
        file, field = str(main.regions_file), "features"
        found = _from_geojson(sources.text(main.regions_file), file)
    twice = [name for name, count in Counter(region.id for region in found).items() if count > 1]
    if twice:
        raise ConfigurationError(
            [Problem(file, None, field, f"region {name!r} stands twice", _GIVEN) for name in twice]
        )
    return tuple(Region(RegionId(region.id), region.name, region.ags) for region in found)


def ascii_id(name: str) -> str:
    """``name`` as an id: lower case, ASCII, hyphens between words (Osnabrück becomes ``osnabrueck``)."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_TRANSLITERATED)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _from_geojson(text: str, file: str) -> tuple[RegionEntry, ...]:
    try:
        return _named([feature.properties for feature in _Collection.model_validate_json(text).features])
    except ValidationError as error:
        problems = [
            Problem(file, None, ".".join(str(part) for part in item["loc"]), item["msg"], "a GeoJSON FeatureCollection")
            for item in error.errors()
        ]
        raise ConfigurationError(problems) from None


def _named(features: Sequence[_Properties]) -> tuple[RegionEntry, ...]:
    """Entries with ids; a city and the district around it often share a name, so their kind tells them apart."""
    shared = {name for name, count in Counter(feature.name for feature in features).items() if count > 1}
    return tuple(_entry(feature, shared=feature.name in shared) for feature in features)


def _entry(feature: _Properties, *, shared: bool) -> RegionEntry:
    suffix = ("-land" if feature.is_district else "-stadt") if shared else ""
    name = f"{feature.kind} {feature.name}" if shared and feature.is_district else feature.name
    return RegionEntry(id=feature.id or ascii_id(feature.name) + suffix, name=name, ags=feature.ags)
