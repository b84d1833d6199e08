"""Who may read shared tables past their managers, and who may name them in SQL. The rule itself is made in one place."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: The one writer of each table, and the few that read it for somebody who is shown none of it.
WRITERS = {
    "indicators/connections/checking.py",
    "indicators/connections/events.py",
    "indicators/connections/heads.py",
    "indicators/connections/keeping.py",
    "indicators/connections/pushing.py",
    "indicators/connections/running.py",
    "indicators/connections/taking.py",
    "indicators/connections/turns.py",
    "indicators/detectors.py",
    "indicators/ending/deciding.py",
    "indicators/ending/disarming.py",
    "indicators/ending/recalling.py",
    "indicators/ending/retiring.py",
    "indicators/excerpts.py",
    "indicators/feeds/deltas.py",
    "indicators/feeds/proving.py",
    "indicators/feeds/ranging.py",
    "indicators/feeds/receipts.py",
    "indicators/feeds/snapshots.py",
    "indicators/opinions/about.py",
    "indicators/opinions/appealing.py",
    "indicators/opinions/bounding.py",
    "indicators/opinions/flooding.py",
    "indicators/opinions/giving.py",
    "indicators/opinions/many.py",
    "indicators/opinions/ours.py",
    "indicators/opinions/recording.py",
    "indicators/opinions/senders.py",
    "indicators/opinions/silencing.py",
    "indicators/opinions/tallying.py",
    "indicators/opinions/weighing.py",
    "indicators/publishing/awaiting.py",
    "indicators/publishing/confirming.py",
    "indicators/publishing/preparing.py",
    "indicators/publishing/quarantine.py",
    "indicators/reports/reporting.py",
    "indicators/reports/scheduling.py",
    "indicators/telling/breaker.py",
    "indicators/telling/delivering.py",
    "indicators/telling/looking.py",
    "indicators/telling/notifying.py",
    "indicators/telling/replaying.py",
    "indicators/telling/subscribing.py",
}
#: SQL that a reader is answered by. Each takes the rule: as ids of audiences, or as the reader's open channels.
READERS = {
    "indicators/feeds/blocklists.py",
    "indicators/feeds/comparing.py",
    "indicators/feeds/deltas.py",
    "indicators/feeds/hinting.py",
    "indicators/feeds/preview.py",
    "indicators/feeds/sql.py",
    "indicators/log/changes.py",
    "indicators/log/walking.py",
    "indicators/matching/standing.py",
    "indicators/matching/stretches.py",
    "indicators/opinions/standing.py",
    "indicators/portal/counsel.py",
    "indicators/publishing/bounding.py",
    "indicators/publishing/relaying.py",
    "indicators/reading/__init__.py",
    "indicators/reading/carriers.py",
    "indicators/reading/lines.py",
    "indicators/reading/listing.py",
    "indicators/reading/overview.py",
    "indicators/reading/referring.py",
    "indicators/reading/selecting.py",
    "indicators/telling/inbox.py",
}
#: SQL of those who write, follow the log, tidy up or count, and that of one's own holdings alone.
KEEPERS = {
    "indicators/feeds/health.py",  # of a partner's own sets, when each told its changes
    "exchange/guards.py",
    "indicators/benign/suppressing.py",
    "indicators/campaigns/announcing.py",
    "indicators/ending/disarming.py",
    "indicators/ending/released.py",
    "indicators/ending/retiring.py",
    "indicators/feeds/proving.py",
    "indicators/living.py",
    "indicators/log/appending.py",
    "indicators/log/archiving.py",
    "indicators/log/dividing.py",
    "indicators/log/pruning.py",
    "indicators/log/traits.py",
    "indicators/opinions/appealing.py",
    "indicators/opinions/bounding.py",
    "indicators/opinions/flooding.py",
    "indicators/opinions/recording.py",
    "indicators/opinions/tallying.py",
    "indicators/opinions/weighing.py",
    "indicators/publishing/attributing.py",
    "indicators/publishing/barring.py",
    "indicators/publishing/markings.py",
    "indicators/publishing/rationing.py",
    "indicators/publishing/rejudging.py",
    "indicators/publishing/rereading.py",
    "indicators/publishing/storing.py",
    "indicators/sight/relining.py",
    "indicators/sight/resighting.py",
    "indicators/values/carrying.py",
    "indicators/values/overlapping.py",
}
#: Where the rule is made, and kept in channels.
RULE = {"partners/channels.py", "partners/sharing.py", "partners/standing.py"}
_SHARED = re.compile(
    r"\b(indicators_(holding|stixobject|hidden|marked|reference|carries|change|opinion|excerpt|inforce)"
    r"|partners_(audience|sight|channel))\b"
)
_ASKED = re.compile(r"\b(rule_sql|audience_ids|audiences_visible_to|mine|stretches|walking)\b")


def modules():
    for room in ("exchange", "partners", "indicators"):
        for path in (ROOT / room).rglob("*.py"):
            if not {"migrations", "models"} & set(path.parts):
                yield str(path.relative_to(ROOT)), path.read_text()


def test_only_the_writers_read_shared_tables_without_saying_who_looks():
    def names(text):
        return "unrestricted" in text and any(
            isinstance(one, ast.Attribute) and one.attr == "unrestricted" for one in ast.walk(ast.parse(text))
        )

    assert {name for name, text in modules() if names(text)} == WRITERS


def test_only_these_name_shared_tables_in_sql_and_each_that_answers_a_reader_takes_the_rule():
    def sql(text):
        if not _SHARED.search(text):
            return False
        texts = [one.value for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Constant)]
        return any(isinstance(one, str) and _SHARED.search(one) for one in texts)

    found = {name: text for name, text in modules() if sql(text)}
    assert set(found) == READERS | KEEPERS | RULE
    assert [name for name in READERS if not _ASKED.search(found[name])] == []


def test_audiences_are_asked_whom_they_show_to_where_the_rule_is_made_alone():
    deriving = re.compile(
        r"\.audience\.(everyone|partners|tlp)\b.*\bin\b|\bin \w+(\.\w+)*\.audience\.(groups|partners)\b"
    )
    found = {name for name, text in modules() if any(map(deriving.search, text.splitlines()))}
    # Which groups' bases a package names, and under which markings its objects stand.
    reports = {"indicators/reports/reporting.py", "indicators/reports/form.py"}
    assert found - RULE <= {"indicators/reading/gathering.py", *reports}
