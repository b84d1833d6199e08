"""Judgement of holdings: how it is given (`giving`) and kept (`recording`), and what follows (`standing`)."""
