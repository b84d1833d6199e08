"""What is shared and how it moves: objects, values, the change log, feeds, deliveries.

One file for each subject, named as the room that writes its tables; each says the one writer of each table.
"""

from indicators.campaigns import tables as campaigns
from indicators.models.connections import Connection, Passed, PeerHead
from indicators.models.ending import Disarmed, Ending, Recall
from indicators.models.feeds import Feed, FeedSet, InForce, RangeFile, Receipt, Release, Snapshot
from indicators.models.judging import Judging, JudgingPart
from indicators.models.log import Change, Commit, LogManager, LogShare, Progress, Telling, Traced, Untold
from indicators.models.objects import Hidden, Holding, Marked, Reference, SharedId, StixObject, VersionManager
from indicators.models.opinions import Appeal, BoundDue, Bounded, Flood, Opinion, Silence, Tally, Ticket, Told
from indicators.models.publishing import Batch, Detector, Excerpt, HeldBatch, Outflow, Preparation, Quarantined
from indicators.models.reports import ReportPackage, ReportSchedule
from indicators.models.telling import Delivery, Digest, Subscription
from indicators.models.values import Carries, Epoch, ServiceHost, Span, TokenValue, Unlisted

#: The tables of evidence and campaigns are in the room that writes them; Django looks for them here.
CAMPAIGNS = campaigns

__all__ = [
    "CAMPAIGNS",
    "Appeal",
    "Batch",
    "BoundDue",
    "Bounded",
    "Carries",
    "Change",
    "Commit",
    "Connection",
    "Delivery",
    "Detector",
    "Digest",
    "Disarmed",
    "Ending",
    "Epoch",
    "Excerpt",
    "Feed",
    "FeedSet",
    "Flood",
    "HeldBatch",
    "Hidden",
    "Holding",
    "InForce",
    "Judging",
    "JudgingPart",
    "LogManager",
    "LogShare",
    "Marked",
    "Opinion",
    "Outflow",
    "Passed",
    "PeerHead",
    "Preparation",
    "Progress",
    "Quarantined",
    "RangeFile",
    "Recall",
    "Receipt",
    "Reference",
    "Release",
    "ReportPackage",
    "ReportSchedule",
    "ServiceHost",
    "SharedId",
    "Silence",
    "Snapshot",
    "Span",
    "StixObject",
    "Subscription",
    "Tally",
    "Telling",
    "Ticket",
    "TokenValue",
    "Told",
    "Traced",
    "Unlisted",
    "Untold",
    "VersionManager",
]
