"""What a restore does beside the living exchange."""

from __future__ import annotations

import pytest

from exchange.management.commands.restore import manage

ASKS = "from django.conf import settings; print([one['HOST'] for one in settings.DATABASES.values()])"


@pytest.mark.parametrize("name", ["DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE"])
def test_a_command_for_the_restored_store_asks_no_other_however_the_living_one_is_reached(monkeypatch, tmp_path, name):
    """A process of its own, as in a drill: `prepare --restored` at the living store has every reader start over."""
    living = "postgresql://exchange@db.internal/exchange"
    (tmp_path / "url").write_text(living)
    monkeypatch.setenv("DATABASE_POOLER", "transaction")
    monkeypatch.setenv(name, str(tmp_path / "url") if name.endswith("_FILE") else living)
    monkeypatch.setenv("DATABASE_REPLICA_URL", "postgresql://exchange@replica.internal/exchange")
    said = manage(f"postgresql://exchange@/exchange?host={tmp_path}", "shell", "--no-imports", "-c", ASKS)
    assert said == str([str(tmp_path)])
