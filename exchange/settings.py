"""Settings: environment only, production is the default, and a wrong value stops the start."""

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from django.utils.csp import CSP
from kombu import Queue

from exchange import brokers, databases, env, schedule

BASE_DIR = Path(__file__).resolve().parent.parent

#: production | demo | test. Only demo and test may speak plain HTTP and call webhooks on loopback.
MODE = env.choice("EXCHANGE_MODE", "production", of=("production", "demo", "test"))
PRODUCTION = MODE == "production"

DEBUG = False
SECRET_KEY = env.secret("SECRET_KEY", least=50 if PRODUCTION else 1)
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
# Signs the heads of the log (Ed25519); production must have one (`partners.log.logkeys`).
AUDIT_SIGNING_KEY = env.seed("AUDIT_SIGNING_KEY")
if PRODUCTION and not AUDIT_SIGNING_KEY:
    raise env.BadEnvironment("AUDIT_SIGNING_KEY", "must be set: 64 random hex digits")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or ([] if PRODUCTION else ["127.0.0.1", "localhost", "[::1]", "testserver"])
if not ALLOWED_HOSTS:
    raise env.BadEnvironment("ALLOWED_HOSTS", "must be set: the host names under which the exchange is asked")
_LOCAL_URL = "" if PRODUCTION else "http://127.0.0.1:8000"
BASE_URL = env.origin("BASE_URL", _LOCAL_URL, hosts=ALLOWED_HOSTS if PRODUCTION else [], secure=PRODUCTION)
DATA_DIR = Path(env.text("DATA_DIR", ".data")).absolute()

# What a request may carry. Batches have their own, larger bound (`exchange.bodies`).
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
# A draft of 1,000 lines has a box for each.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1_200

#: How often the log seals what was written, and signs a head: a finer grain would tell how busy the others are.
LOG_SECONDS = env.number("LOG_SECONDS", 60, least=1, most=3600)
#: What everyone, and named partners, are sent keeps to this policy; between the members of a group, to the group's.
OPEN_POLICY = env.choice("OPEN_POLICY", "closed-facts", of=("closed-facts", "open-cti"))
#: Days for which the answer to a push is kept, for a retry and as a TAXII status. TAXII 2.1 §4.3 wants a day.
BATCH_DAYS = env.number("BATCH_DAYS", 30, least=2, most=3650)
#: Days for which a removal can be read in the log by who was away; whoever was away longer starts over.
CHANGE_DAYS = env.number("CHANGE_DAYS", 400, least=30, most=3650)

#: How many rows of the log one member's publishing makes at most (`indicators.publishing.rationing`).
LOG_ROWS_PER_BATCH = env.number("LOG_ROWS_PER_BATCH", 100_000, least=1_000, most=10_000_000)
LOG_ROWS_PER_HOUR = env.number("LOG_ROWS_PER_HOUR", 10_000_000, least=10_000, most=1_000_000_000)

INSTALLED_APPS = [
    "exchange",
    "partners",
    "indicators",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
]

MIDDLEWARE = [
    "exchange.requests.RequestMiddleware",
    "exchange.answers.AnswerMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "exchange.faces.MachineMiddleware",
    # From here on for people alone.
    "exchange.pages.PagesMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "exchange.translating.LanguageMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "exchange.problems.ProblemMiddleware",
    # Inside the problems: what it raises to have somebody confirm who they are, it answers itself.
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "exchange.urls"
WSGI_APPLICATION = "exchange.wsgi.application"
PEERS = "partners.peers"  # whose share of a web process a request is of (`exchange.front`)
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "exchange.templating.Templates",
        "NAME": "django",
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["django.templatetags.i18n"],  # all that people read is marked for translation
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "exchange.themes.theme",
                "indicators.portal.sidebar.saved_views",
            ],
        },
    }
]

# PostgreSQL is the only store; what a connection is given is said in `exchange.databases`.
DATABASE_POOLER = env.choice("DATABASE_POOLER", "none", of=("none", "transaction"))
DATABASE_PLANNING = databases.PLANNING
_databases = databases.of_environment(pooled=DATABASE_POOLER == "transaction")
DATABASES = _databases.all
DATABASE_DIRECT = _databases.conninfo if DATABASE_POOLER == "transaction" else ""
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
# What people read: in English, and in the languages of whose catalogues the operator has one (`make messages`).
LANGUAGE_CODE = "en"
LOCALE_PATHS = [Path(env.text("LOCALE_PATH", str(BASE_DIR / "exchange" / "locale")))]
LANGUAGES = env.languages("LANGUAGES", LOCALE_PATHS[0])
USE_I18N = len(LANGUAGES) > 1

# People.
AUTH_USER_MODEL = "partners.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if MODE == "test":  # what a strong hash costs is not what tests are about
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ACCOUNT_ADAPTER = "partners.identity.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
# Per network (an IPv4 address, an IPv6 /64) and per account in a network or browser (`partners.identity.accounts`);
# `login_failed` also counts codes of a second factor, `login_failed_anywhere` an account's over all networks.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,120/h/ip,5/5m/key",
    "login_failed_anywhere": "100/h/key",
    "reauthenticate": "10/m/user,20/m/ip",
    "change_password": "5/m/user,20/m/ip",
    "change_factors": "20/m/user,40/m/ip",
    "invite": "60/h/user",
    "invitation": "30/m/ip",
    "invitation_failed": "10/m/ip",
    "password_reset": "10/m/ip,60/h/ip",
    "password_reset_of": "3/h/key",
    "password_reset_link": "30/m/ip",
    "sign_on": "30/m/ip",
}
PASSWORD_RESET_TIMEOUT = 1800
MFA_ADAPTER = "partners.identity.accounts.FactorAdapter"
MFA_SUPPORTED_TYPES = ["webauthn", "totp", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_ALLOW_UNVERIFIED_EMAIL = True  # nobody signs up: the address came with the invitation
MFA_TOTP_ISSUER = "Exchange"
MFA_TOTP_TOLERANCE = 1
MFA_RATE_LIMITS = {"webauthn_login": "20/m/ip"}
MFA_FORMS = {
    "authenticate": "partners.identity.accounts.CodeForm",
    "authenticate_webauthn": "partners.identity.accounts.PasskeyForm",
    "login_webauthn": "partners.identity.accounts.PasskeyAloneForm",
    "reauthenticate": "partners.identity.accounts.ConfirmCodeForm",
    "reauthenticate_webauthn": "partners.identity.accounts.ConfirmPasskeyForm",
}
LOGIN_URL = "/account/login/"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/account/login/"
SESSION_ENGINE = "partners.identity.sessions"
SESSION_COOKIE_AGE = 12 * 3600
#: Under https, cookies are bound to this host alone (`__Host-`): no neighbouring name can plant one.
COOKIE_PREFIX = "__Host-" if PRODUCTION else ""
LANGUAGE_COOKIE_NAME = f"{COOKIE_PREFIX}language"
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}exchange_session"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "exchange.problems.csrf_failure"
CSRF_COOKIE_HTTPONLY = True
# Rate limits are counted in PostgreSQL, so that they hold over all processes.
# Room for all that count within a day: at Django's 300 entries, a flood of made-up names would push real counts out.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "exchange_cache",
        "OPTIONS": {"MAX_ENTRIES": 200_000},
    }
}

# The browser: nothing but what this server sends, and no inline script or style.
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    # Text becomes markup by one policy alone, which passes what htmx was answered (`static/exchange/trusted.js`); it
    # never becomes a script, and the one script named at run time is the worker (`static/exchange/tokens.js`).
    "require-trusted-types-for": ["'script'"],
    "trusted-types": ["htmx", "worker"],
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = PRODUCTION and env.flag("SSL_REDIRECT", default=True)
# Machines are not sent on: their key has travelled in clear by then (`exchange.faces`).
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$", r"^api/", r"^taxii2", r"^schemas/"]
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
# How many proxies add to X-Forwarded-For before a request arrives (`exchange.origins`).
PROXY_COUNT = 0
if PRODUCTION and env.flag("BEHIND_PROXY", default=True):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Rate limits of the sign-in count callers, not the proxy.
    PROXY_COUNT = ALLAUTH_TRUSTED_PROXY_COUNT = env.number("PROXY_COUNT", 1, least=1, most=5)
# Client certificates are checked by a proxy, which says whose it was; believed from these networks only.
MTLS_PROXIES = env.networks("MTLS_PROXIES")
# From where the operator's people and keys are let in; none: from anywhere.
OPERATOR_NETWORKS = env.networks("OPERATOR_NETWORKS")
MTLS_SUBJECT_HEADER = env.text("MTLS_SUBJECT_HEADER")
MTLS_CERTIFICATE_HEADER = env.text("MTLS_CERTIFICATE_HEADER")
if bool(MTLS_PROXIES) != bool(MTLS_SUBJECT_HEADER or MTLS_CERTIFICATE_HEADER):
    raise env.BadEnvironment("MTLS_PROXIES", "goes with MTLS_SUBJECT_HEADER or MTLS_CERTIFICATE_HEADER")
# Open streams: each asks the store about once a second whose it is.
STREAMS_PER_PROCESS = env.number("STREAMS_PER_PROCESS", 64, least=0, most=6_000)
CSRF_TRUSTED_ORIGINS = [BASE_URL]

# Static files.
STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(DATA_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nothing is uploaded
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if MODE == "test"
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = MODE == "test"
WHITENOISE_AUTOREFRESH = False

#: What gives the pages of errors the portal's side bar (`exchange.problems`).
PORTAL_FRAME = "partners.portal.access.framed"

# The API.
REST_FRAMEWORK = {
    # The views of the API authenticate themselves (`partners.api.base`); any other is closed.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Exchange",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": "Share what belongs to a campaign against AI labs, within seconds. See also TAXII 2.1 at /taxii2/.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_PATCH": False,  # each body says itself what may be left out
    "POSTPROCESSING_HOOKS": [],  # enums stay where they are used
}

# Celery. The broker carries hints only; without CELERY_BROKER_URL it is the same PostgreSQL (ADR 0002).
CELERY_BROKER_URL = env.broker(
    "CELERY_BROKER_URL", env.shown_broker(_databases.direct["HOST"], _databases.direct["PORT"])
)
BROKER_IS_POSTGRESQL = CELERY_BROKER_URL.startswith("pgmq:")
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        # The pgmq client reads a conninfo string, not a URL with `?host=`.
        "conn_string": _databases.conninfo,
        "init_extension": False,
        "use_notify": True,
        "notify_throttle_interval_ms": 0,
        "wait_time_seconds": 0,
        # How long a worker waits that heard nothing, or has its hands full: at 1 s, 4 threads do 8 tasks a second, and
        # at 0.05 s two idle workers take a quarter of a core.
        "polling_interval": 0.2,
        "visibility_timeout": 120,
        "pool_size": 4,
        "pool_timeout": 3,
    }
    if BROKER_IS_POSTGRESQL
    else brokers.options(CELERY_BROKER_URL)
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_IMPORTS = schedule.IMPORTS
CELERY_TASK_ROUTES = schedule.ROUTES
# RabbitMQ keeps a quorum queue on most nodes of a cluster, and a classic one on one of them.
_QUEUES = ("classic", "quorum")
# Declaring a pgmq queue drops and makes its trigger under an exclusive lock: senders that do so at the same time
# deadlock (ADR 0002). There, `exchange-manage prepare` makes the queues, once.
CELERY_TASK_QUEUES = [
    Queue(
        name,
        no_declare=BROKER_IS_POSTGRESQL,
        queue_arguments=brokers.queue_arguments(CELERY_BROKER_URL, env.choice("BROKER_QUEUES", "classic", of=_QUEUES)),
    )
    for name in schedule.QUEUES
]
CELERY_TASK_DEFAULT_QUEUE = "celery"
# A hint that cannot be sent is not worth a caller's time: the sweeps find the work within seconds.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0}
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 110
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
# After a lost connection Celery would lower the count of messages that it fetches ahead, and raise it again from the
# threads of the pool. Each reads RabbitMQ's answer beside the thread that reads messages: a frame torn in two left a
# worker deaf for three minutes, until RabbitMQ hung up.
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TASK_ALWAYS_EAGER = False
CELERY_BEAT_SCHEDULER = "exchange.beat:Scheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = schedule.SCHEDULE

# The only door out (`exchange.outbound`).
OUTBOUND_ALLOW_HTTP = env.flag("OUTBOUND_ALLOW_HTTP", default=not PRODUCTION)
OUTBOUND_ALLOW_NETWORKS = env.words("OUTBOUND_ALLOW_NETWORKS") or ([] if PRODUCTION else ["127.0.0.0/8", "::1/128"])
OUTBOUND_RESOLVERS = env.words("OUTBOUND_RESOLVERS")

# E-mail: to a server of the operator's; a demo writes each message to a file.
MAILERS = {
    "default": env.mailer("EMAIL_URL", "smtp://localhost" if PRODUCTION else f"file://{DATA_DIR.resolve()}/mail")
}
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", f"Exchange <exchange@{urlsplit(BASE_URL).hostname}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Addresses, AS numbers and names that are for documentation (RFC 5737, 3849, 2544, 5398, 6761) name nobody: in a demo
# and in tests they may be published, elsewhere they are as benign as other special-purpose ranges.
ALLOW_EXAMPLE_VALUES = env.flag("ALLOW_EXAMPLE_VALUES", default=not PRODUCTION)
#: A sum that was told changes at most once in so many seconds, where the group says nothing else.
PREVALENCE_INTERVAL_S = env.number("PREVALENCE_INTERVAL_S", 3_600 if PRODUCTION else 5, least=1, most=86_400)
#: A snapshot of MISP's warninglists in the place of the bundled one (`exchange-manage benign_lists`).
BENIGN_LISTS = env.text("BENIGN_LISTS", "")

# The key service (`python -m exchange.keyservice`): where it is, and the token by which it knows us.
KEY_SERVICE_URL = env.text("KEY_SERVICE_URL").rstrip("/")
KEY_SERVICE_TOKEN = env.secret("KEY_SERVICE_TOKEN", least=32) if KEY_SERVICE_URL else ""

METRICS_TOKEN = env.text("METRICS_TOKEN")

# Traces (`exchange.tracing`): where spans go by OTLP over HTTP, how many of all traces, and whose `traceparent` counts.
TRACES_ENDPOINT = env.text("TRACES_ENDPOINT")
TRACES_PERCENT = env.number("TRACES_PERCENT", 100, least=0, most=100)
TRACES_PROXIES = env.networks("TRACES_PROXIES")
if TRACES_ENDPOINT and find_spec("opentelemetry") is None:
    raise env.BadEnvironment("TRACES_ENDPOINT", "needs OpenTelemetry: pip install -r deploy/requirements-traces.lock")

# Backups (`exchange-manage backup`, `archive`, `restore`): who makes them, where ours lie, and as whom PostgreSQL is
# asked for a copy.
BACKUP_BY = env.choice("BACKUP_BY", "exchange", of=("exchange", "other"))
BACKUP_DIR = Path(env.text("BACKUP_DIR", str(DATA_DIR / "backup"))).absolute()
BACKUP_DATABASE_URL = env.text("BACKUP_DATABASE_URL") or env.text(  # no pooler copies a server
    "DATABASE_DIRECT_URL" if DATABASE_POOLER == "transaction" else "DATABASE_URL"
)
BACKUP_KEEP = env.number("BACKUP_KEEP", 7, least=1, most=1_000)

# Snapshots of feeds: web processes and workers share this directory.
SNAPSHOT_DIR = Path(env.text("SNAPSHOT_DIR", str(DATA_DIR / "snapshots"))).absolute()

LOGGING_CONFIG = "exchange.logs.configure"
LOGGING = {"level": env.choice("LOG_LEVEL", "INFO", of=("DEBUG", "INFO", "WARNING", "ERROR"))}
SILENCED_SYSTEM_CHECKS: list[str] = []
