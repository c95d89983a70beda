"""Partners read their own texts, and an exercise's mark survives on every channel, however little it holds."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from unit.house import CHANNELS, channel, deployment, playbook, road
from unit.speaking import occasion

from dispatcher.model.alert import Purpose, Text
from dispatcher.model.cap import Realm
from dispatcher.model.channel import Audience, ChannelId, TextLimit, Unit
from dispatcher.plan.occasion import Voice
from dispatcher.plan.render import render_correction, render_texts

SPOKEN = [purpose for purpose in Purpose if purpose.spoken]
MARKS = ("ÜBUNG", "DRILL")


async def test_partners_read_their_own_texts(tmp_path: Path) -> None:
    """A partner's channel says what is written for partners, the public's channels what is written for the public."""
    book = playbook().model_dump(mode="json", exclude_none=True)
    said = {"de": {"headline": "Partner: {{ place }}", "long": "Bitte Zufahrt frei halten.", "short": "Frei halten."}}
    four = ("alert", "update", "all_clear", "false_alarm")
    texts = {purpose: book["texts"][purpose] for purpose in four} | {"partner": dict.fromkeys(four, said)}
    rules = {"audiences": ["public", "partner"]}
    where = deployment(
        playbook(texts=texts, channels=rules), channels=(*CHANNELS, channel("railway", audience=Audience.PARTNER))
    )
    async with road(tmp_path, where) as found:
        await found.receive()
        await found.quiet()
        bodies = {name: found.fakes[ChannelId(name)].posts[0].text.body for name in ("railway", "website")}
        assert "Zufahrt frei" in bodies["railway"]
        assert "Zufahrt frei" not in bodies["website"]


@given(
    unit=st.sampled_from(Unit), size=st.integers(20, 5_000), purpose=st.sampled_from(SPOKEN),
    realm=st.sampled_from(Realm), languages=st.sampled_from([("de",), ("en",), ("de", "en")]),
)  # fmt: skip
def test_a_text_fits_from_twenty_units_on(
    unit: Unit, size: int, purpose: Purpose, realm: Realm, languages: tuple[str, ...]
) -> None:
    """From 20 units of any kind there is a text that fits and holds its code; an exercise's is marked at both ends."""
    limit = TextLimit(unit, size)
    about = occasion(purpose=purpose, realm=realm)
    voice = Voice(limit, languages)
    texts = render_texts(about, [voice]).texts[voice]
    for text in (texts.first, texts.follow_up, texts.repetition):
        assert limit.fits(text.body)
        assert about.code in text.body
        if realm is Realm.EXERCISE:
            assert text.body.startswith(MARKS)
            assert text.body.endswith((*MARKS, "EXERCISE"))


def test_a_corrected_post_begins_with_the_correction() -> None:
    """An earlier post keeps its words below the correction's headline; where both do not fit, the correction stands alone."""
    original, correction = (
        Text("Warnung", "Warnung\n\nMeiden Sie den Bereich.", ("de",)),
        Text("Fehlalarm", "Fehlalarm.", ("de",)),
    )
    whole = render_correction(original, correction, TextLimit(Unit.CHARACTERS, 200))
    assert (whole.body.startswith("Fehlalarm\n"), whole.body.endswith(original.body)) == (True, True)
    assert render_correction(original, correction, TextLimit(Unit.CHARACTERS, 20)) == correction
