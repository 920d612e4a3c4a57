"""The PostgreSQL that is captured, as the variables of the environment that the connector's `${env:...}` names."""

from sqlalchemy import make_url

ALLOWED = "CDC_SOURCE_[A-Z]+"  # all that a connector may read of the environment of Kafka Connect
PORT = 5432


def variables(url: str) -> dict[str, str]:
    """Return what a worker of Kafka Connect is told of the SQLAlchemy URL `url`: host, port, user, password, ..."""
    found = make_url(url)
    return {
        "CDC_SOURCE_HOST": found.host or "localhost",
        "CDC_SOURCE_PORT": str(found.port or PORT),
        "CDC_SOURCE_USER": found.username or "",
        "CDC_SOURCE_PASSWORD": found.password or "",
        "CDC_SOURCE_DATABASE": found.database or found.username or "",
        "CDC_SOURCE_SSLMODE": str(found.query.get("sslmode", "prefer")),  # libpq's default, too
    }
