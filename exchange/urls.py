"""Where all is joined: each face is named as a string."""

from django.urls import include, path

from exchange import health, problems, translating

# In the order in which they are asked for most.
urlpatterns = [
    path("taxii2/", include("indicators.taxii.urls")),
    path("api/v1/", include("indicators.api.urls")),
    path("api/v1/", include("partners.api.urls")),
    path("api/v1/log/", include("partners.api.log_urls")),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("taxii2", include("indicators.taxii.front")),
    path("schemas/", include("indicators.api.schemas")),
    path("organisation/log/", include("partners.portal.log_urls")),
    path("organisation/reports/", include("indicators.portal.report_urls")),
    path("words.js", translating.words, name="words"),
    path("docs", include("partners.portal.doc_urls")),
    path("account/", include("partners.portal.urls")),
    path("organisation/keys/", include("partners.portal.key_urls")),
    path("", include("partners.portal.people_urls")),
    path("", include("partners.portal.life_urls")),
    path("", include("indicators.portal.urls")),
]

handler400 = problems.handler400
handler403 = problems.handler403
handler404 = problems.handler404
handler429 = problems.handler429
handler500 = problems.handler500
