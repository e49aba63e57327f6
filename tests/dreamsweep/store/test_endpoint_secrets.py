"""A token in the path of an S3 endpoint appears in no message."""

import pytest

from dreamsweep.errors import DreamsweepError
from dreamsweep.store import open_store, without_path
from dreamsweep.store.s3_failures import one_line

TOKEN = "token-in-the-path"


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        (f"http://127.0.0.1:9/{TOKEN}", "http://127.0.0.1:9/…"),
        (f"http://user:{TOKEN}@127.0.0.1:9/{TOKEN}?key={TOKEN}", "http://127.0.0.1:9/…"),
        (f"nonsense/{TOKEN}", "Invalid endpoint: nonsense/…"),
    ],
)
def test_it_is_left_out_of_errors(aws_settings: pytest.MonkeyPatch, endpoint: str, shown: str) -> None:
    aws_settings.setenv("AWS_ENDPOINT_URL", endpoint)
    aws_settings.setenv("AWS_ACCESS_KEY_ID", "a")
    aws_settings.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(DreamsweepError) as caught:
        open_store("s3://bucket/runs").read("a")
    assert shown in str(caught.value) and TOKEN not in str(caught.value)


def test_an_endpoint_without_a_path_is_shown_whole() -> None:
    assert without_path("https://s3.example.org:9000") == "https://s3.example.org:9000"
    assert without_path("https://s3.example.org/") == "https://s3.example.org"


def test_it_is_left_out_of_boto3_s_own_words() -> None:
    error = ValueError(f'Could not connect to the endpoint URL: "http://127.0.0.1:9/{TOKEN}/bucket"')
    assert one_line(error) == 'Could not connect to the endpoint URL: "http://127.0.0.1:9/…"'
