"""Files in, values out: what loads, what is refused and by which line, what is left out while the rest speaks."""

import json
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.model.cap import Realm, RegionId
from dispatcher.model.channel import Audience, ChannelId
from dispatcher.model.errors import ConfigurationError
from dispatcher.model.playbook import Release
from dispatcher.settings import Loaded, load, shipped_demo
from dispatcher.settings.regions import ascii_id

ROOT = Path(__file__).parents[2]

TOWN = """
realm: live
broker: {url: "mqtt://localhost"}
sender: {name: Stadt Leer, level: local, contact: {hotline: "0491 000000"}}     # level: local | regional | national
channels:
  website:   {kind: webhook, url: "https://www.leer.example/hook", secret_file: /run/secrets/web}
  facebook:  {kind: facebook_page, page_id: "1", credential: {token_file: /run/secrets/fb}}
  duty-team: {kind: ntfy, url: "https://ntfy.leer.example/duty", audience: staff}
"""

EXERCISE = """
realm: exercise
release_override: automatic
sender: {name: Stadt Leer}
channels:
  duty: {kind: ntfy, realm: exercise, audience: staff, url: "wall://ntfy/duty"}
"""

PLAYBOOK = """
playbook: fire
title: Großbrand
match: {kind: [fire]}
languages: [de]
texts:
  alert: {de: {headline: Großbrand, long: Schließen Sie Fenster und Türen., short: Fenster zu.}}
  update: {de: {headline: Großbrand, long: Die Lage ist unverändert., short: Unverändert.}}
  all_clear: {de: {headline: Entwarnung, long: Der Brand ist gelöscht., short: Gelöscht.}}
  false_alarm: {de: {headline: Fehlalarm, long: Es hat nicht gebrannt., short: Kein Brand.}}
"""


@pytest.fixture(autouse=True)
def _one_small_playbook(tmp_path: Path) -> None:
    """Most tests are not about playbooks: a small one beside the main file loads faster than the shipped ones."""
    (tmp_path / "playbooks").mkdir()
    _write(tmp_path / "playbooks", PLAYBOOK, "fire.yaml")


def _write(folder: Path, text: str, name: str = "dispatcher.yaml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text).lstrip())
    return path


def _said(loaded: Loaded) -> str:
    return "\n".join(str(problem) for problem in loaded.problems)


def _refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return str(caught.value)


def test_a_dozen_lines_are_enough(tmp_path: Path) -> None:
    """The town's one file loads unchanged, with the shipped playbooks and one region called like the sender."""
    alone = tmp_path / "alone"
    alone.mkdir()
    loaded = load(_write(alone, TOWN))

    assert _said(loaded) == ""
    assert [region.id for region in loaded.deployment.regions] == ["home"]
    assert loaded.deployment.regions[0].name == "Stadt Leer"
    assert {name: kind for name, (kind, _) in loaded.channels.items()} == {
        "website": "webhook", "facebook": "facebook_page", "duty-team": "ntfy",
    }  # fmt: skip
    assert {"amok", "bomb-threat"} <= {playbook.id for playbook in loaded.deployment.playbooks}
    assert loaded.deployment.sender.hotline == "0491 000000"
    assert loaded.deployment.max_age == timedelta(minutes=10)
    assert loaded.journal.path == alone / "dispatcher.sqlite"


def test_a_profile_says_what_the_plan_needs(tmp_path: Path) -> None:
    """A channel's profile carries audience, origin and the name of its credential, never a secret."""
    profile = load(_write(tmp_path, TOWN)).deployment.channels[ChannelId("duty-team")]

    assert (profile.audience, profile.origin, profile.credential) == (
        Audience.STAFF, "https://ntfy.leer.example", "duty-team",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["config/dispatcher.yaml", "config/demo/dispatcher.yaml", "examples/small-town.yaml"])
def test_everything_shipped_loads(name: str) -> None:
    """Every configuration in the tree loads with nothing left out."""
    loaded = load(ROOT / name)

    assert _said(loaded) == ""
    assert [problem.field for problem in loaded.warnings if problem.field != "console.tokens_file"] == []


def test_the_model_deployment_covers_every_district_with_its_own_channels() -> None:
    """Each of the eight districts is served by the WhatsApp channel and the page of its own inspection, and no other."""
    deployment = load(ROOT / "config/dispatcher.yaml").deployment

    assert len(deployment.regions) == 8
    assert len({region.name for region in deployment.regions}) == 8
    for region in deployment.regions:
        own = [c for c in deployment.channels.values() if c.regions and c.serves(frozenset({region.id}))]
        assert sorted(c.kind for c in own) == ["facebook_page", "whatsapp_channel"]
        assert len({c.regions for c in own}) == 1


def test_the_demo_is_the_model_deployment_on_the_wall() -> None:
    """The exercise has the channels that the model speaks on, but those that people post to, its regions, and nothing but the wall's address."""
    live, demo = load(ROOT / "config/dispatcher.yaml"), load(shipped_demo(), wall="http://127.0.0.1:4711")

    called = {channel for channel, one in live.deployment.channels.items() if one.kind != "by_hand"}
    assert called == set(demo.channels)
    assert set(live.deployment.regions) == set(demo.deployment.regions)
    assert {channel.origin for channel in demo.deployment.channels.values()} == {"http://127.0.0.1:4711"}
    assert demo.secrets == ()
    assert demo.deployment.release_override is Release.AUTOMATIC


def test_a_city_and_its_district_are_told_apart(tmp_path: Path) -> None:
    """GeoJSON regions get ASCII ids; where two share a name, id and public name say which is which."""
    properties = [
        {"ags": "03404", "name": "Osnabrück", "kind": "Kreisfreie Stadt"},
        {"ags": "03459", "name": "Osnabrück", "kind": "Landkreis"},
        {"ags": "03457", "name": "Leer", "kind": "Landkreis"},
    ]
    features = [{"type": "Feature", "properties": item, "geometry": None} for item in properties]
    _write(tmp_path, json.dumps({"type": "FeatureCollection", "features": features}), "regions.geojson")
    loaded = load(_write(tmp_path, TOWN + "regions_file: regions.geojson\n"))

    assert [(region.id, region.name, region.ags) for region in loaded.deployment.regions] == [
        ("osnabrueck-stadt", "Osnabrück", "03404"),
        ("osnabrueck-land", "Landkreis Osnabrück", "03459"),
        ("leer", "Leer", "03457"),
    ]
    assert ascii_id("Straße zur Ölmühle, Łódź!") == "strasse-zur-oelmuehle-odz"


def test_channels_name_regions_by_key_or_id(tmp_path: Path) -> None:
    """A region is named by its id or its AGS, quoted or not; an unknown one leaves the channel out with its line."""
    text = """
        realm: live
        sender: {name: Land}
        regions: [{id: dresden, name: Dresden, ags: 14612}, {id: leer, name: Leer, ags: 03457}]
        channels:
          a: {kind: ntfy, url: "https://x.example/a", audience: staff, regions: [14612, leer]}
          b: {kind: ntfy, url: "https://x.example/b", audience: staff, regions: [03999]}
    """
    loaded = load(_write(tmp_path, text))

    assert loaded.deployment.channels[ChannelId("a")].regions == {RegionId("dresden"), RegionId("leer")}
    assert list(loaded.channels) == ["a"]
    assert "dispatcher.yaml:6: channels.b.regions.0: no region '03999' (known: dresden, leer)" in _said(loaded)


def test_a_broken_channel_does_not_silence_the_others(tmp_path: Path) -> None:
    """A channel with a mistyped key is left out, named with line and the nearest right word; the others load."""
    text = TOWN.replace('page_id: "1"', 'page_ID: "1"')
    loaded = load(_write(tmp_path, text))

    assert list(loaded.channels) == ["website", "duty-team"]
    assert 'dispatcher.yaml:6: channels.facebook.page_ID: unknown key (did you mean "page_id"?)' in _said(loaded)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{kind: facebok_page}", "channels.x.kind: 'facebok_page' is no kind of channel (known: "),
        ("{url: 'https://x.example/x'}", "channels.x.kind: missing"),
        ("https://x.example", "channels.x: no mapping"),
        ("{kind: ntfy, url: 'wall://ntfy/x'}", "channels.x.url: wall:// exists only in realm exercise"),
        ("{kind: ntfy, url: 'https://x.example/x', settings: {url: 'https://y.example/y'}}", "keep one of the two"),
        ("{kind: ntfy, url: 'https://x.example/x', realm: exercise}", "channels.x.realm: says exercise"),
        ("{kind: ntfy, settings: {urll: 'https://y.example/y'}}", "dispatcher.yaml:8: channels.x.urll: unknown key"),
    ],
)
def test_every_refusal_names_field_and_remedy(tmp_path: Path, entry: str, complaint: str) -> None:
    """Whatever is wrong with one channel is said with its field, and only that channel is missing."""
    loaded = load(_write(tmp_path, f"{TOWN}  x: {entry}\n"))

    assert complaint in _said(loaded)
    assert len(loaded.channels) == 3


def test_settings_may_stand_apart(tmp_path: Path) -> None:
    """A kind's own fields may stand under ``settings`` as well, and mean the same."""
    flat = load(_write(tmp_path, TOWN))
    apart = load(_write(tmp_path, TOWN.replace('page_id: "1"', 'settings: {page_id: "1"}')))

    assert flat.channels == apart.channels
    assert flat.digest != apart.digest


def test_a_drill_cannot_become_real(tmp_path: Path) -> None:
    """In realm exercise a channel that does not say so is left out, and live alerts cannot do without a person."""
    loaded = load(_write(tmp_path, EXERCISE + '  real: {kind: ntfy, url: "https://ntfy.leer.example/duty"}\n'))

    assert list(loaded.channels) == ["duty"]
    assert loaded.deployment.realm is Realm.EXERCISE
    assert "channels.real.realm: missing" in _said(loaded)
    assert "release_override" in _refused(_write(tmp_path, EXERCISE.replace("realm: exercise\n", "realm: live\n", 1)))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("realm: live", "realm: real"), "dispatcher.yaml:1: realm: 'real' is not allowed"),
        (("realm: live\n", ""), "realm: missing"),
        (("broker:", "brokr:"), 'brokr: unknown key (did you mean "broker"?)'),
        (("level: local,", "level: village,"), "dispatcher.yaml:3: sender.level: 'village' is not allowed"),
        (("realm: live", "realm: live\ntimezone: Europe/Leer"), "dispatcher.yaml:2: timezone"),
        (("realm: live", "realm: live\nmax_age: soon"), "dispatcher.yaml:2: max_age"),
        (("realm: live", "realm: live\nregions_file: none.geojson"), "none.geojson: cannot be read: No such file"),
        (("realm: live", "realm: live\nchannels_file: none.yaml"), "none.yaml: cannot be read: No such file"),
        (("realm: live", "realm: live\nplaybooks: none"), "playbooks: none can be read in "),
        (("realm: live", "realm: live\nrealm: live"), "the key stands twice"),
    ],
)
def test_what_makes_a_daemon_impossible_is_fatal(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    """A wrong main file, or a missing one that it names, is refused with file, line and field."""
    assert complaint in _refused(_write(tmp_path, TOWN.replace(*change)))


def test_a_missing_or_unreadable_main_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere and bytes that are no UTF-8 are named, not raised as they come."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("sender: Osnabrück".encode("latin-1"))

    assert "nowhere.yaml: cannot be read: No such file or directory" in _refused(tmp_path / "nowhere.yaml")
    assert "latin.yaml: not UTF-8 at byte 14" in _refused(latin)


@pytest.mark.parametrize("content", ["{", "[]", '{"features": []}', '{"features": [{"properties": {"ags": "1"}}]}'])
def test_broken_geojson_is_refused(tmp_path: Path, content: str) -> None:
    """A regions file without usable regions is refused, never taken as "everywhere"."""
    _write(tmp_path, content, "regions.geojson")

    assert "regions.geojson" in _refused(_write(tmp_path, TOWN + "regions_file: regions.geojson\n"))


def test_an_id_is_given_once(tmp_path: Path) -> None:
    """A region named twice is fatal; a channel named again in the second file does not replace the first."""
    doubled = "regions: [{id: leer, name: Leer}, {id: leer, name: Stadt Leer}]\n"
    _write(tmp_path, "channels:\n  website: {kind: ntfy, url: 'https://x.example/x'}\n", "channels.yaml")
    loaded = load(_write(tmp_path, TOWN + "channels_file: channels.yaml\n"))

    assert loaded.channels[ChannelId("website")][0] == "webhook"
    assert "channels.yaml:2: channels.website: this id stands in another file already" in _said(loaded)
    assert "region 'leer' stands twice" in _refused(_write(tmp_path, TOWN + doubled))


def test_relative_paths_start_from_their_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path counts from the folder of the file that says it, wherever the program was started."""
    (tmp_path / "more" / "secrets").mkdir(parents=True)
    _write(tmp_path / "more" / "secrets", "canary-value", "token")
    channels = "channels:\n  page: {kind: facebook_page, page_id: '2', credential: {token_file: secrets/token}}\n"
    _write(tmp_path / "more", channels, "channels.yaml")
    path = _write(tmp_path, TOWN + "channels_file: more/channels.yaml\njournal: {path: state/journal.sqlite}\n")
    monkeypatch.chdir("/")
    loaded = load(path)

    assert loaded.channels[ChannelId("page")][1].token() == "canary-value"
    assert loaded.journal.path == tmp_path / "state" / "journal.sqlite"
    assert "canary-value" not in f"{loaded}"


def test_a_missing_secret_does_not_stop_a_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets that cannot be read here are listed by reference, from files, the environment and for the broker."""
    monkeypatch.delenv("ABSENT", raising=False)
    text = TOWN.replace("secret_file: /run/secrets/web", "secret_env: ABSENT")
    text = text.replace('"mqtt://localhost"', '"mqtt://localhost", password_file: broker-password')
    text = text.replace("/run/secrets/fb", "nowhere")
    loaded = load(_write(tmp_path, text))
    secrets = "\n".join(str(problem) for problem in loaded.secrets)

    assert _said(loaded) == ""
    assert (
        "dispatcher.yaml:5: channels.website.credential: the secret cannot be read: no environment variable 'ABSENT'"
        in secrets
    )
    assert f"the secret {tmp_path / 'nowhere'} cannot be read: No such file or directory" in secrets
    assert "dispatcher.yaml:2: broker: " in secrets


def test_a_deployment_without_staff_channel_is_warned_about(tmp_path: Path) -> None:
    """Where nobody can be paged, a warning says so at the place where the channels are."""
    loaded = load(_write(tmp_path, TOWN.replace("audience: staff", "audience: public")))

    assert "dispatcher.yaml:4: channels: no channel has audience: staff" in str(loaded.warnings[0])


def test_a_broken_playbook_does_not_silence_the_others(tmp_path: Path) -> None:
    """The folder beside the main file is used, and a broken playbook in it is left out and named."""
    folder = tmp_path / "playbooks"
    _write(folder, "playbook: broken\n", "broken.yaml")
    (folder / "latin.yaml").write_bytes(b"\xff")
    loaded = load(_write(tmp_path, TOWN))

    assert [playbook.id for playbook in loaded.deployment.playbooks] == ["fire"]
    assert "broken.yaml:1: texts: missing" in _said(loaded)
    assert "latin.yaml: not UTF-8" in _said(loaded)


def test_the_digest_follows_every_file(tmp_path: Path) -> None:
    """Equal files give an equal digest, and a changed byte in any of them another."""
    _write(tmp_path, "channels: {}\n", "channels.yaml")
    path = _write(tmp_path, TOWN + "channels_file: channels.yaml\n")
    before = load(path).digest
    again = load(path).digest
    _write(tmp_path, "channels: {} # changed\n", "channels.yaml")

    assert before == again != load(path).digest


def test_a_siren_in_doubt_waits_for_a_person(tmp_path: Path) -> None:
    """A physical actuator holds in doubt where the files say nothing, and does what they say where they do."""
    sirens = '  {0}: {{kind: mqtt, url: "mqtt://localhost", topic: orders, ack_topic: acks{1}}}\n'
    text = TOWN + sirens.format("siren", "") + sirens.format("display", ", in_doubt: resend")
    profiles = load(_write(tmp_path, text)).deployment.channels
    said = {str(channel): profile.in_doubt for channel, profile in profiles.items()}
    assert said == {
        "website": "resend", "facebook": "resend", "duty-team": "resend", "siren": "hold", "display": "resend",
    }  # fmt: skip
