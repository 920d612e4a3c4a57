import pytest

from millrace import config
from millrace.errors import ConfigError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_precedence_is_option_environment_dotenv_servers_default(tmp_path, monkeypatch):
    home = tmp_path / "h"
    home.mkdir()
    assert config.load(home=home).kafka_bootstrap == "127.0.0.1:9092"
    (home / "servers.env").write_text("MILLRACE_KAFKA_BOOTSTRAP=127.0.0.1:1\n")
    assert config.load(home=home).kafka_bootstrap == "127.0.0.1:1"
    (tmp_path / ".env").write_text("MILLRACE_KAFKA_BOOTSTRAP=127.0.0.1:2\n")
    assert config.load(home=home).kafka_bootstrap == "127.0.0.1:2"
    monkeypatch.setenv("MILLRACE_KAFKA_BOOTSTRAP", "127.0.0.1:3")
    assert config.load(home=home).kafka_bootstrap == "127.0.0.1:3"
    assert config.load(home=home, kafka_bootstrap="127.0.0.1:4").kafka_bootstrap == "127.0.0.1:4"


def test_every_wrong_key_is_named_at_once_and_no_value(monkeypatch):
    monkeypatch.setenv("MILLRACE_PARTITIONS", "secret-looking")
    monkeypatch.setenv("MILLRACE_KAFKA_BOOTSTRAP", "nowhere")
    monkeypatch.setenv("MILLRACE_MYSQL_URI", "mysql://u:hunter2@h/d")
    with pytest.raises(ConfigError) as caught:
        config.load()
    message = str(caught.value)
    assert "MILLRACE_PARTITIONS" in message and "MILLRACE_KAFKA_BOOTSTRAP" in message
    assert "MILLRACE_MYSQL_URI is no setting (did you mean MILLRACE_MYSQL_URL?)" in message
    assert "hunter2" not in message and "secret-looking" not in message


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h/d", "sqlite"])
@pytest.mark.parametrize("store", ["SQLITE", "POSTGRES", "MYSQL"])
def test_an_address_of_a_sql_store_that_is_none(monkeypatch, store, url):
    monkeypatch.setenv(f"MILLRACE_{store}_URL", url)
    with pytest.raises(ConfigError, match=f"MILLRACE_{store}_URL: expected {store.lower()[:5]}.*://") as caught:
        config.load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("port", ["0", "99999", "hunter2"])
def test_a_port_of_a_sql_store_that_is_none(monkeypatch, port):
    monkeypatch.setenv("MILLRACE_POSTGRES_URL", f"postgresql+psycopg://u:hunter2@h:{port}/d")
    with pytest.raises(ConfigError, match="MILLRACE_POSTGRES_URL: expected postgresql") as caught:
        config.load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["h", "mongodb://", "http://u:hunter2@h", "mongodb://u:hunter2@h:99999", "mongodb://u:hunter2@h/?tls=perhaps"],
)
def test_an_address_of_mongodb_that_is_none(monkeypatch, url):
    monkeypatch.setenv("MILLRACE_MONGODB_URL", url)
    with pytest.raises(ConfigError, match="MILLRACE_MONGODB_URL: expected mongodb://USER") as caught:
        config.load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["mongodb://h", "mongodb://u:hunter2@h:1,i:2/d?tls=true&replicaSet=r", "mongodb+srv://u:hunter2@cluster.example/"],
)
def test_an_address_of_mongodb(monkeypatch, url):
    monkeypatch.setenv("MILLRACE_MONGODB_URL", url)
    assert config.load().store_url("mongodb") == url and "hunter2" not in repr(config.load())


@pytest.mark.parametrize(
    "url",
    ["h", "chdb://folder", "chdb:///", "chdb:///a?b=c", "http://", "https://u:hunter2@h:99999", "tcp://u:hunter2@h"],
)
def test_an_address_of_clickhouse_that_is_none(monkeypatch, url):
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_URL", url)
    with pytest.raises(ConfigError, match="MILLRACE_CLICKHOUSE_URL: expected http://USER") as caught:
        config.load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://h", "https://u:hunter2@h:8443/d?verify=false", "chdb:///a%20folder/of/mine"])
def test_an_address_of_clickhouse(monkeypatch, url):
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_URL", url)
    assert config.load().store_url("clickhouse") == url and "hunter2" not in repr(config.load())


def test_without_an_address_clickhouse_is_a_folder_of_the_home(tmp_path):
    assert config.load(home=tmp_path / "a b").store_url("clickhouse") == f"chdb://{tmp_path}/a%20b/data/clickhouse"


def test_passwords_are_masked(monkeypatch):
    monkeypatch.setenv("MILLRACE_MYSQL_URL", "mysql+mysqlconnector://u:hunter2@h/d")
    settings = config.load()
    assert "hunter2" not in repr(settings) + str(settings) + str(settings.model_dump())
    assert settings.store_url("mysql").endswith("hunter2@h/d")


@pytest.mark.parametrize("url", ["h:9200", "mysql://u:hunter2@h/d", "http://u@:9200", "http://u:@h:hunter2"])
def test_an_address_of_elasticsearch_that_is_none(monkeypatch, url):
    monkeypatch.setenv("MILLRACE_ELASTICSEARCH_URL", url)
    with pytest.raises(ConfigError, match="MILLRACE_ELASTICSEARCH_URL: expected http://HOST:9200") as caught:
        config.load()
    assert "hunter2" not in str(caught.value)


def test_an_address_of_elasticsearch(monkeypatch):
    monkeypatch.setenv("MILLRACE_ELASTICSEARCH_URL", "https://u:hunter2@h:9243/path")
    assert config.load().store_url("elasticsearch") == "https://u:hunter2@h:9243/path"
    assert "hunter2" not in repr(config.load())


def test_a_store_without_url_says_what_to_do():
    with pytest.raises(ConfigError, match=r"MILLRACE_POSTGRES_URL is not set.*millrace up postgres"):
        config.load().store_url("postgres")


def test_the_example_file_documents_every_setting(request):
    example = (request.config.rootpath / ".env.example").read_text()
    for name in config.Settings.model_fields:
        assert f"\n# MILLRACE_{name.upper()}=" in example  # none set: a copy wins over the servers that `up` started


def test_the_token_of_finnhub_has_two_names_and_stays_out_of_sight(monkeypatch):
    monkeypatch.delenv("FINNHUB_TOKEN", raising=False)
    assert config.load().finnhub_token is None
    monkeypatch.setenv("FINNHUB_TOKEN", "hunter2")
    assert config.load().finnhub_token.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(config.load())
    monkeypatch.setenv("MILLRACE_FINNHUB_TOKEN", "hunter3")
    assert config.load().finnhub_token.get_secret_value() == "hunter3"


def test_the_key_of_openai_has_two_names_and_stays_out_of_sight(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    assert config.load().openai_api_key.get_secret_value() == "hunter2"
    monkeypatch.setenv("MILLRACE_OPENAI_API_KEY", "hunter3")
    assert config.load().openai_api_key.get_secret_value() == "hunter3"
    assert "hunter" not in repr(config.load()) and "hunter" not in str(config.load().model_dump())


@pytest.mark.parametrize("url", ["https://h", "ws.finnhub.io", "wss://h?token=hunter2", "wss://hunter2@h", "wss://"])
def test_an_address_of_finnhub_that_is_none(url):
    with pytest.raises(ConfigError, match="MILLRACE_FINNHUB_URL: expected wss://HOST without a token") as caught:
        config.load(finnhub_url=url)
    assert "hunter2" not in str(caught.value)


ADDRESSES = {
    "bluesky_url": "wss",
    "finnhub_url": "wss",
    "mastodon_url": "https",
    "superset_url": "http",
    "openai_url": "http",
    "webhdfs_url": "http",
    "archive_url": "hdfs",
    "elasticsearch_url": "http",
}


@pytest.mark.parametrize(
    ("name", "url"),
    [
        *[(name, f"{scheme}://hunter2:{port}") for name, scheme in ADDRESSES.items() for port in ("99999", "0", "x")],
        ("kafka_bootstrap", "hunter2:99999"),
        ("kafka_bootstrap", "hunter2:²"),
        ("bluesky_url", "wss://one.example,wss://"),
        ("mastodon_url", "https://u:hunter2@one.example"),
        ("mastodon_url", "https://one.example?token=hunter2"),
        ("superset_url", "hunter2:8088"),
        ("openai_url", "https://u:hunter2@one.example/v1"),
        ("openai_url", "https://one.example/v1?key=hunter2"),
    ],
)
def test_addresses_are_checked_before_anything_starts(name, url):
    with pytest.raises(ConfigError, match=f"MILLRACE_{name.upper()}: expected") as caught:
        config.load(**{name: url})
    assert "hunter2" not in str(caught.value)
