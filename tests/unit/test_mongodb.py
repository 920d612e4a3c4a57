"""What the address of a MongoDB may be, and what is said of a wrong one: never the password."""

import pytest
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ExecutionTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from millrace.errors import ConfigError, Unavailable
from millrace.sinks.mongodb import cluster

SECRET = "hush"
AT = f"mongodb://ada:{SECRET}@"


@pytest.mark.parametrize(
    ("url", "where", "words"),
    [
        (f"mongodb://ada:{SECRET}/{SECRET}@h:1/db", "h:1, user ada", "as in URLs"),
        (f"mongodb://ada:{SECRET}@{SECRET}@h:1", "h:1, user ada", "as in URLs"),
        (f"mongodb://ada:{SECRET}?{SECRET}@h", "h, user ada", "as in URLs"),
        (f"mongodb://ada:{SECRET}:{SECRET}@h", "h, user ada", "as in URLs"),
        ("mongodb://h:99999", "h:99999", "Port must be"),
        (f"{AT}one:1,two:abc/db", "one:1,two:abc, user ada", "Port contains non-digit"),
        (f"{AT}one:1,,two", "one:1,,two, user ada", "Empty host"),
        (f"{AT}one/?tsl=true", "one, user ada", "Unknown option"),
        (f"{AT}one,two:7/?tls=maybe", "one,two:7, user ada", "tls must be"),
        (f"{AT}one/?tls=true&tlsCAFile=/nowhere.pem", "one, user ada", "file is not readable"),
        (f"{AT}one/?tls=true&ssl=false", "one, user ada", "conflicting values"),
        (f"mongodb://one/?tlsCertificateKeyFilePassword={SECRET}&x=1", "one", "Unknown option"),
        (f"mongodb://one/?authMechanismProperties={SECRET}:1;x=1", "one", "Unknown option"),
        (f"{AT}one/a db", "one, user ada", "Bad database name"),
        (f"{AT}one/?w=0", "one, user ada", "w=0 nobody hears"),
        ("mongodb+srv://ada:hush@one:27017", "one:27017, user ada", "must not include a port"),
        ("mongodb+srv://ada:hush@one,two", "one,two, user ada", "srv"),
    ],
)
def test_a_wrong_address(url: str, where: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        cluster.connect(url)
    said = str(error.value)
    assert said.startswith(f"MongoDB at {where}: ") and words in said
    assert SECRET not in said and "\n" not in said


@pytest.mark.parametrize(
    ("url", "where", "majority"),
    [
        ("mongodb://h:27017", "h:27017", True),
        (f"{AT}one:1,two:2,[::1]:3/db?replicaSet=rs&tls=true", "one:1,two:2,[::1]:3, user ada", True),
        (f"{AT}one/?w=2;retryWrites=true", "one, user ada", False),
        ("mongodb://ada:w=@one/", "one, user ada", True),
        ("mongodb://ada%40mill:p%2Fw%3D@one/", "one, user ada%40mill", True),
    ],
)
def test_an_address(url: str, where: str, *, majority: bool) -> None:
    with cluster.connect(url) as client:
        assert cluster.place(url) == f"MongoDB at {where}"
        assert (client.write_concern.document == {"w": "majority"}) == majority
        assert client.options.retry_writes != majority


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OperationFailure("Authentication failed.", 18), ConfigError, "check user, password and roles"),
        (OperationFailure("not authorized", 13), ConfigError, "check user, password and roles"),
        (OperationFailure("bad\nindex", 85), ConfigError, "bad index"),
        (OperationFailure("busy", 91, {"errorLabels": ["RetryableWriteError"]}), Unavailable, "busy"),
        (ConfigurationError("no kerberos"), ConfigError, "no kerberos"),
        (ServerSelectionTimeoutError("nobody"), Unavailable, "nobody"),
        (AutoReconnect("gone"), Unavailable, "gone"),
        (ExecutionTimeout("slow", 50), Unavailable, "slow"),
        (WTimeoutError("replicas", 64), Unavailable, "replicas"),
    ],
)
def test_an_error_of_the_server(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as found, cluster.errors(f"{AT}h:1/?x=1", "collection c"):
        raise error
    said = str(found.value)
    assert said.startswith("collection c in MongoDB at h:1, user ada: ") and words in said
    assert SECRET not in said and "\n" not in said
