"""The Anthropic SDK for Python, unmodified, against weir."""

import unittest

import anthropic
from common import DATA, KEY, MODEL, PROMPT, REFUSALS, WEATHER, broken, check_headers, check_refusal

MESSAGES = [{"role": "user", "content": PROMPT}]
ERRORS = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    402: anthropic.PaymentRequiredError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    503: anthropic.ServiceUnavailableError,
}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "api_error",
}


def client(key=KEY):
    return anthropic.Anthropic(base_url=DATA, api_key=key, max_retries=0, timeout=30)


def create(key=KEY, model=MODEL, headers=None, stream=False, **more):
    messages = client(key).messages
    return messages.create(
        model=model, messages=MESSAGES, max_tokens=64, extra_headers=headers, stream=stream, **more
    )


def count(key=KEY, model=MODEL, headers=None):
    return client(key).messages.count_tokens(model=model, messages=MESSAGES, extra_headers=headers)


class Answers(unittest.TestCase):
    def test_messages(self):
        raw = client().messages.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=64)
        check_headers(self, raw.headers)
        answer = raw.parse()
        self.assertEqual((answer.model, answer.stop_reason), (MODEL, "end_turn"))
        self.assertIn(PROMPT, answer.content[0].text)
        self.assertGreater(answer.usage.input_tokens, 0)
        self.assertGreater(answer.usage.output_tokens, 0)

    def test_messages_streamed(self):
        with client().messages.stream(model=MODEL, messages=MESSAGES, max_tokens=64) as stream:
            check_headers(self, stream.response.headers)
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertIn(PROMPT, text)
        self.assertEqual((final.model, final.content[0].text, final.stop_reason), (MODEL, text, "end_turn"))
        self.assertGreater(final.usage.output_tokens, 0)

    def test_messages_call_a_tool(self):
        answer = create(model="sim/tool", tools=[{"name": "weather", "input_schema": WEATHER}])
        self.assertEqual(answer.stop_reason, "tool_use")
        used = [block for block in answer.content if block.type == "tool_use"]
        self.assertEqual(used[0].name, "weather")

    def test_count_tokens(self):
        self.assertGreater(count().input_tokens, 0)

    def test_a_bearer_token_is_a_key_too(self):
        bearer = anthropic.Anthropic(base_url=DATA, api_key=None, auth_token=KEY, max_retries=0, timeout=30)
        answer = bearer.messages.create(model=MODEL, messages=MESSAGES, max_tokens=64)
        self.assertIn(PROMPT, answer.content[0].text)


class Refusals(unittest.TestCase):
    def check(self, status, call, error_type):
        with self.assertRaises(ERRORS[status]) as raised:
            call()
        check_refusal(self, raised.exception, status, error_type)
        body = raised.exception.response.json()
        self.assertEqual((body["type"], body["error"]["type"]), ("error", TYPES[status]))
        self.assertTrue(body["request_id"])

    def test_every_status_of_every_operation_streamed_or_not(self):
        for status, given in REFUSALS.items():
            given = {name: value for name, value in given.items() if name != "error_type"}
            for operation, more in [(create, {}), (create, {"stream": True}), (count, {})]:
                with self.subTest(status=status, operation=operation.__name__, **more):
                    self.check(status, lambda: operation(**given, **more), REFUSALS[status]["error_type"])

    def test_bad_requests(self):
        self.check(400, lambda: create(extra_body={"messages": None}), "invalid_request")

    def test_a_limit_lets_its_number_pass(self):
        for _ in range(2):
            create(key="sdk-limited-anthropic-python")
        with self.assertRaises(anthropic.RateLimitError) as raised:
            create(key="sdk-limited-anthropic-python")
        check_refusal(self, raised.exception, 429, "rate_limit_exceeded")
        self.assertEqual(raised.exception.response.headers["x-weir-limit"], "rule:two-an-hour")

    def test_a_stream_that_breaks_raises(self):
        error = broken(self, create(model="sim/cut", stream=True), anthropic.APIError)
        self.assertNotIsInstance(error, anthropic.APIConnectionError)


if __name__ == "__main__":
    unittest.main()
