"""Django's `makemessages`, which knows `later`, too: our word for a text that is read with its module."""

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """Gather all text for people into catalogues."""

    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=later"]
