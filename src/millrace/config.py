"""Settings, typed, with secrets masked: the only module that reads the environment.

Precedence: option, environment, `.env`, `$MILLRACE_HOME/servers.env` (written by `millrace up`), default.
"""

import difflib
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from millrace.errors import ConfigError
from millrace.urls import is_clickhouse, is_mongodb, is_sql, is_url

PREFIX = "MILLRACE_"
BLUESKY_HOSTS = "wss://jetstream1.us-east.bsky.network,wss://jetstream2.us-east.bsky.network,wss://jetstream1.us-west.bsky.network,wss://jetstream2.us-west.bsky.network"
MASTODON_HOSTS = "https://mastodon.social"
TWEETS_HOST = "ws://localhost:5555"
FINNHUB_HOST = "wss://ws.finnhub.io"
SQL = {
    "sqlite_url": "sqlite:///FILE",
    "postgres_url": "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE",
    "cdc_source_url": "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE",
    "mysql_url": "mysql+mysqlconnector://USER:PASSWORD@HOST:3306/DATABASE",
}
OLLAMA = "http://127.0.0.1:11434"
SERVICES = {
    "superset_url": 8088,
    "connect_url": 8083,
    "registry_url": "8085/apis/ccompat/v7",
    "ollama_url": 11434,
    "openai_url": "8000/v1",
    "webhdfs_url": 9870,
}


def _secret(description: str, *names: str) -> Any:
    """A secret of a feed, also under the names that its documentation and other tools use."""
    return Field(None, validation_alias=AliasChoices(PREFIX + names[0], *names), description=description)


class Settings(BaseSettings):
    """What every command, job and notebook is told from outside. Build it with `load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path(".millrace"), description="Where state lives: servers.env, checkpoints, logs, millrace.db")
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port[,host:port]")
    partitions: int = Field(3, ge=1, le=1000, description="Partitions of the data topics that millrace creates")
    bluesky_url: str = Field(BLUESKY_HOSTS, description="Jetstream hosts, tried in turn (ws:// or wss://)")
    mastodon_url: str = Field(MASTODON_HOSTS, description="Mastodon instances, read at once (https://)")
    mastodon_client_key: SecretStr | None = _secret(
        "Client key of your application on the instance", "MASTODON_CLIENT_KEY", "CLIENT_KEY"
    )
    mastodon_client_secret: SecretStr | None = _secret(
        "Client secret of your application", "MASTODON_CLIENT_SECRET", "CLIENT_SECRET"
    )
    mastodon_access_token: SecretStr | None = _secret(
        "Access token with the scope read:statuses", "MASTODON_ACCESS_TOKEN", "ACCESS_TOKEN"
    )
    finnhub_url: str = Field(FINNHUB_HOST, description="Finnhub's WebSocket (ws:// or wss://), without the token")
    finnhub_token: SecretStr | None = _secret("Your key of Finnhub", "FINNHUB_TOKEN")
    tweets_url: str = Field(TWEETS_HOST, description="Generators of tweets, tried in turn (ws:// or wss://)")
    sqlite_url: SecretStr | None = Field(None, description="SQLAlchemy URL; default sqlite:///<home>/millrace.db")
    postgres_url: SecretStr | None = Field(None, description=SQL["postgres_url"])
    mysql_url: SecretStr | None = Field(None, description=SQL["mysql_url"] + ", also of MariaDB")
    elasticsearch_url: SecretStr | None = Field(None, description="http://host:9200 or https://user:password@host:9200")
    mongodb_url: SecretStr | None = Field(
        None, description="mongodb://USER:PASSWORD@HOST:27017/?tls=true or mongodb+srv://"
    )
    clickhouse_url: SecretStr | None = Field(
        None,
        description="http(s)://USER:PASSWORD@HOST:8123/DATABASE, or chdb:///FOLDER; default <home>/data/clickhouse",
    )
    cdc_source_url: SecretStr | None = Field(None, description="PostgreSQL to capture; default that of postgres_url")
    connect_url: str | None = Field(None, description="Kafka Connect, http://host:8083; `millrace up connect` sets it")
    registry_url: str | None = Field(
        None, description="Schema registry, by Confluent's interface; `millrace up registry` sets it"
    )
    ollama_url: str = Field(OLLAMA, description="Ollama, http://host:11434; `millrace up ollama` sets it")
    openai_url: str | None = Field(None, description="A server that speaks as OpenAI's, http://host:8000/v1")
    openai_api_key: SecretStr | None = _secret("Its key, where it asks for one", "OPENAI_API_KEY")
    superset_url: str | None = Field(None, description="Superset, http://localhost:8088; `make superset` sets it")
    archive_url: str | None = Field(None, description="hdfs://host:9000/folder or a folder; default <home>/archive")
    webhdfs_url: str | None = Field(None, description="The NameNode's HTTP side; default http://<host of it>:9870")

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers(cls, value: str) -> str:
        for broker in value.split(","):
            if not is_url(f"kafka://{broker.strip()}", "kafka") or not broker.strip().rpartition(":")[2].isdecimal():
                raise ValueError("expected host:port[,host:port]")
        return value

    @field_validator("bluesky_url", "tweets_url")
    @classmethod
    def _hosts(cls, value: str) -> str:
        if not all(is_url(url.strip(), "ws", "wss") for url in value.split(",")):
            raise ValueError("expected ws:// or wss:// URLs, separated by commas")
        return value

    @field_validator("finnhub_url")
    @classmethod
    def _finnhub(cls, value: str) -> str:
        if not is_url(value, "ws", "wss", bare=True):
            raise ValueError("expected wss://HOST without a token: that goes into FINNHUB_TOKEN")
        return value

    @field_validator("mastodon_url")
    @classmethod
    def _instances(cls, value: str) -> str:
        if not all(is_url(url.strip(), "http", "https", bare=True) for url in value.split(",")):
            raise ValueError("expected https:// URLs without user and query, separated by commas")
        return value

    @field_validator(*SERVICES)
    @classmethod
    def _service(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and not is_url(value, "http", "https", bare=info.field_name == "openai_url"):
            raise ValueError(f"expected http://host:{SERVICES[str(info.field_name)]}")
        return value.rstrip("/") if value else None

    @field_validator("archive_url")
    @classmethod
    def _archive(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if value.startswith("file:/") and not parts.netloc:  # file:/folder is how Hadoop writes it
            return value.removeprefix("file:").removeprefix("//").rstrip("/")
        if value.startswith("file:") or ("://" in value and not is_url(value, "hdfs", bare=True)):
            raise ValueError("expected hdfs://host:port/folder, file:///folder or a folder")
        return value.rstrip("/")

    @property
    def archive(self) -> str:
        """The URL of the archive, by default a folder in the home folder."""
        given = self.archive_url or str(self.home / "archive")
        return given if "://" in given else f"file://{Path(given).resolve()}"  # as Hadoop takes it: nothing encoded

    @field_validator(*SQL)
    @classmethod
    def _sql(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        example = SQL[str(info.field_name)]
        if value is not None and not is_sql(value.get_secret_value(), example.partition("://")[0]):
            raise ValueError(f"expected {example}")
        return value

    @field_validator("elasticsearch_url")
    @classmethod
    def _node(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        if not is_url(value.get_secret_value(), "http", "https"):
            raise ValueError("expected http://HOST:9200 or https://USER:PASSWORD@HOST:9200")
        return value

    @field_validator("mongodb_url")
    @classmethod
    def _mongodb(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_mongodb(value.get_secret_value()):
            raise ValueError("expected mongodb://USER:PASSWORD@HOST:27017/DATABASE?tls=true or mongodb+srv://HOST")
        return value

    @field_validator("clickhouse_url")
    @classmethod
    def _clickhouse(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_clickhouse(value.get_secret_value()):
            raise ValueError("expected http://USER:PASSWORD@HOST:8123/DATABASE, https:// or chdb:///FOLDER")
        return value

    @property
    def clickhouse(self) -> str:
        """The URL of ClickHouse, by default a folder in the home folder, whose server starts when it is asked."""
        if self.clickhouse_url:
            return self.clickhouse_url.get_secret_value()
        return f"chdb://{quote(str(self.home.resolve() / 'data' / 'clickhouse'))}"

    @property
    def sqlite(self) -> str:
        """The SQLite URL, by default a file in the home folder."""
        if self.sqlite_url:
            return self.sqlite_url.get_secret_value()
        return f"sqlite:///{self.home.resolve() / 'millrace.db'}"

    @property
    def cdc_source(self) -> str | None:
        """The URL of the PostgreSQL that is captured, None where none is set."""
        secret = self.cdc_source_url or self.postgres_url
        return secret.get_secret_value() if secret else None

    def store_url(self, store: str) -> str:
        """Return the URL of the sink `store`; raises ConfigError where none is set."""
        if store in ("sqlite", "clickhouse"):
            return str(getattr(self, store))
        secret: SecretStr | None = getattr(self, f"{store}_url")
        if secret is None:
            raise ConfigError(
                f"{PREFIX}{store.upper()}_URL is not set: set it, or start a local server with `millrace up {store}`"
            )
        return secret.get_secret_value()


def load(**options: Any) -> Settings:
    """Read the settings; `options` that are not None win. Raises ConfigError that names every wrong key at once."""
    given = {key: value for key, value in options.items() if value is not None}
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    home = Path(
        str(
            given.get("home")
            or os.environ.get(PREFIX + "HOME")
            or dotenv_values(".env").get(PREFIX + "HOME")
            or ".millrace"
        )
    )
    problems = _unknown(known, {**dotenv_values(".env"), **os.environ})
    try:
        settings = Settings(_env_file=(home / "servers.env", ".env"), **given)  # type: ignore[call-arg]
    except ValidationError as error:
        problems += [_describe(item) for item in error.errors()]
    if problems:
        raise ConfigError("wrong settings: " + "; ".join(problems))
    return settings


def _unknown(known: set[str], found: dict[str, str | None]) -> list[str]:
    strangers = sorted(key for key in found if key.startswith(PREFIX) and key not in known)
    return [f"{key} is no setting{_hint(key, known)}" for key in strangers]


def _hint(key: str, known: set[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _describe(item: Any) -> str:
    name = str(item["loc"][0]) if item["loc"] else "settings"
    key = name if name.startswith(PREFIX) else PREFIX + name.upper()
    return f"{key}: {item['msg'].removeprefix('Value error, ')}"
