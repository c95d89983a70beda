"""Templates: a small language that cannot run away."""

from __future__ import annotations

import pytest

from dispatcher.plan.templates import MAX_OUTPUT, TemplateFailed, TemplateRefused, compile_template, tidy

NAMES = frozenset({"place", "gate", "region_names"})
DATA = {"place": "Neumarkt", "gate": "", "region_names": ("Emden", "Leer")}


def rendered(source: str) -> str:
    """``source``, filled."""
    return compile_template(source, NAMES).render(DATA)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Einsatz: {{ place }}", "Einsatz: Neumarkt"),
        ("{% if gate %}Tor {{ gate }}{% else %}{{ place | upper }}{% endif %}", "NEUMARKT"),
        ("{{ gate or place }}, {{ gate | default('?', true) }}", "Neumarkt, ?"),
        ("{{ region_names | join(' und ') }}", "Emden und Leer"),
        ("{% for name in region_names %}\n- {{ name }}\n{% endfor %}", "- Emden\n- Leer"),
        ("{{ place if gate is defined and place == 'Neumarkt' else gate }}", "Neumarkt"),
        ("a & b < c", "a & b < c"),
    ],
)
def test_what_a_template_may_do(source: str, text: str) -> None:
    """Names, conditions, one loop and a few filters work, and nothing is escaped: posts are plain text."""
    assert rendered(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in region_names %}{% for b in region_names %}{{ b }}{% endfor %}{% endfor %}",
        "{% for a in region_names recursive %}{{ a }}{% endfor %}",
        "{% for a in 'x' ~ place %}{{ a }}{% endfor %}",
        "{% macro m() %}{% endmacro %}",
        "{% call place() %}{% endcall %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% block b %}{% endblock %}",
        "{% set a = place %}",
        "{% with a = place %}{{ a }}{% endwith %}",
        "{% filter upper %}a{% endfilter %}",
        "{{ 9 * place }}",
        "{{ 9 ** 9 }}",
        "{{ 9 // 2 }}",
        "{{ place + gate }}",
        "{{ range(9) }}",
        "{{ place() }}",
        "{{ place.upper }}",
        "{{ place['upper'] }}",
        "{{ place[0:2] }}",
        "{{ [place] }}",
        "{{ {'a': place} }}",
        "{{ place | replace('a', 'b') }}",
        "{{ place | center(99) }}",
        "{{ place | map(attribute='x') }}",
        "{{ place | join(place) }}",
        "{{ place | join('x') | join('x') }}",
        "{{ place | join('123456789012345678901') }}",
        "{{ region_names | join(',', 'name') }}",
        "{{ region_names | join(attribute='name') }}",
        "{{ place is even }}",
        "{{ self }}",
        "{{ loop }}",
        "{{ unknown }}",
        "{{ place ",
        "{{ " + "(" * 2_000 + "place" + ")" * 2_000 + " }}",
        "{% if " + "not " * 1_500 + "place %}x{% endif %}",
        "{% if place %}" * 30 + "{% endif %}" * 30,
    ],
)
def test_what_a_template_may_not_do(source: str) -> None:
    """Everything off the lists is refused before it is ever compiled."""
    with pytest.raises(TemplateRefused):
        compile_template(source, NAMES)


def test_a_refusal_says_which_line() -> None:
    """A refusal names what is wrong and the line inside the template."""
    with pytest.raises(TemplateRefused, match=r'unknown name "gait", in line 3') as refused:
        compile_template("{{ place }}\n\n{{ gait }}", NAMES)
    assert refused.value.line == 3


def test_output_has_a_cap() -> None:
    """A template whose text grows beyond the cap fails instead of being said."""
    long = compile_template("{% for name in region_names %}" + "{{ place }}" * 9 + "{% endfor %}", NAMES)
    with pytest.raises(TemplateFailed, match=str(MAX_OUTPUT)):
        long.render({"region_names": ("x",) * 50, "place": "x" * 500})


def test_what_fails_at_run_time_fails_as_one_error() -> None:
    """Missing names and values of the wrong type fail as `TemplateFailed`, whatever the engine calls it."""
    for source, data in [
        ("{{ place }}", {}),
        ("{% if place > 3 %}x{% endif %}", DATA),
        ("{{ gate | join }}", {"gate": 3}),
    ]:
        with pytest.raises(TemplateFailed):
            compile_template(source, NAMES).render(data)


def test_data_is_never_a_template() -> None:
    """What stands in the data is said as it is, even where it looks like a template."""
    assert compile_template("{{ place }}", NAMES).render({"place": "{{ gate }}"}) == "{{ gate }}"


def test_text_is_tidied() -> None:
    """Runs of spaces and of empty lines, as conditions leave them, do not reach a post."""
    assert tidy("  a  b \n\n\n\n c\t\n") == "a b\n\nc"


def test_templates_are_compiled_once() -> None:
    """The same source with the same names is the same compiled template."""
    assert compile_template("{{ place }}", NAMES) is compile_template("{{ place }}", NAMES)
