"""What both SDKs' tests share: where weir is, and what every answer of its must carry."""

import os
import re

DATA = os.environ["WEIR_DATA"]
KEY = "sdk-key"
PROMPT = "Say this, please."
MODEL = "sim/echo"

# Status -> how to bring it about: changes to the client's options, the request's headers, and its body.
REFUSALS = {
    401: {"key": "not-a-key", "error_type": "invalid_api_key"},
    402: {"key": "sdk-broke-key", "error_type": "usage_limit_exceeded"},
    403: {"headers": {"x-weir-feature": "blocked"}, "error_type": "abuse_blocked"},
    404: {"model": "nobody/nothing", "error_type": "model_not_found"},
    429: {"headers": {"x-weir-feature": "throttled"}, "error_type": "rate_limit_exceeded"},
    503: {"model": "keyless/model", "error_type": "temporarily_unavailable"},
}

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


def broken(test, stream, error_class):
    """Reads a stream that breaks, and gives what was raised; something must have come before."""
    items = []
    with test.assertRaises(error_class) as raised:
        for item in stream:
            items.append(item)
    test.assertTrue(items, "nothing came before the error")
    return raised.exception


def check_headers(test, headers):
    """Every answer names its decision and its request, and says what weir cost."""
    test.assertRegex(headers["x-weir-decision"], r"^dec_[0-9a-f-]{36}$")
    test.assertTrue(headers["x-request-id"])
    test.assertTrue(re.fullmatch(r"\d+(\.\d+)?", headers["x-weir-overhead-ms"]), headers["x-weir-overhead-ms"])


def check_refusal(test, error, status, error_type):
    """A refusal has its status and type, and is not worth a retry unless waiting helps."""
    test.assertEqual(error.status_code, status)
    check_headers(test, error.response.headers)
    body = error.response.json()["error"]
    test.assertEqual(body["error_type"], error_type)
    test.assertEqual(body["decision"], error.response.headers["x-weir-decision"])
    should_retry = error.response.headers.get("x-should-retry")
    test.assertEqual(should_retry, None if status in (429, 503) else "false")
    if status == 429:
        test.assertGreaterEqual(int(error.response.headers["retry-after"]), 1)
        test.assertTrue(error.response.headers["x-weir-limit"])
