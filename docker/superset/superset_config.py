"""Superset's settings, alike in docker/compose.yaml and `make superset`; its own data lies in SUPERSET_HOME."""

import os
import secrets
from pathlib import Path

import pymysql
from superset.config import TALISMAN_CONFIG

pymysql.install_as_MySQLdb()  # Superset asks for MySQLdb whatever the driver is


def _secret_key() -> str:
    path = Path(os.environ["SUPERSET_HOME"]) / "secret-key"
    if not path.exists():
        path.touch(0o600)
        path.write_text(secrets.token_urlsafe(42))
    return path.read_text()


SECRET_KEY = _secret_key()
APP_NAME = "millrace"
ROW_LIMIT = 10_000
DEFAULT_RELATIVE_START_TIME = DEFAULT_RELATIVE_END_TIME = "now"  # else "Last day" ends at midnight
CONTENT_SECURITY_POLICY_WARNING = False
FEATURE_FLAGS = {"ENABLE_TEMPLATE_PROCESSING": True}  # curves.yaml asks which symbol is chosen
# Pages tell a third party that they are looked at, unless browsers refuse to.
TALISMAN_CONFIG["content_security_policy"]["img-src"] = ["'self'", "blob:", "data:"]

# Superset 6.1 loses the DATE() of its own grains on the way to MySQL: 08:00 would be shown as 16:00.
_MIDNIGHT = "CAST(DATE({col}) AS DATETIME)"
_MINUTE = "HOUR({col}) * 60 + MINUTE({col})"


def _minutes(length: int) -> str:
    return f"DATE_ADD({_MIDNIGHT}, INTERVAL (FLOOR(({_MINUTE}) / {length}) * {length}) MINUTE)"


TIME_GRAIN_ADDON_EXPRESSIONS = {
    "mysql": {
        "PT1S": f"DATE_ADD({_MIDNIGHT}, INTERVAL (({_MINUTE}) * 60 + SECOND({{col}})) SECOND)",
        "PT1M": _minutes(1),
        "PT5M": _minutes(5),
        "PT10M": _minutes(10),
        "PT15M": _minutes(15),
        "PT30M": _minutes(30),
        "PT1H": _minutes(60),
    }
}

EXTRA_CATEGORICAL_COLOR_SCHEMES = [
    {
        "id": "okabeIto",
        "description": "Colours that the colour-blind tell apart",
        "label": "Okabe and Ito",
        "isDefault": True,
        "colors": ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999"],
    }
]
