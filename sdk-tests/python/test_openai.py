"""The OpenAI SDK for Python, unmodified, against weir."""

import unittest

import openai
from common import DATA, KEY, MODEL, PROMPT, REFUSALS, WEATHER, broken, check_headers, check_refusal

MESSAGES = [{"role": "user", "content": PROMPT}]
ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    402: openai.APIStatusError,  # it has no class of its own
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    503: openai.InternalServerError,
}


def client(key=KEY, **options):
    return openai.OpenAI(base_url=f"{DATA}/v1", api_key=key, max_retries=0, timeout=30, **options)


def chat(key=KEY, model=MODEL, headers=None, stream=False):
    completions = client(key).chat.completions
    return completions.create(model=model, messages=MESSAGES, extra_headers=headers, stream=stream)


def respond(key=KEY, model=MODEL, headers=None, stream=False):
    return client(key).responses.create(model=model, input=PROMPT, extra_headers=headers, stream=stream)


def embed(key=KEY, model=MODEL, headers=None):
    return client(key).embeddings.create(model=model, input=PROMPT, extra_headers=headers)


class Answers(unittest.TestCase):
    def test_chat(self):
        raw = client().chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
        check_headers(self, raw.headers)
        answer = raw.parse()
        self.assertEqual(answer.model, MODEL)
        self.assertIn(PROMPT, answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertGreater(answer.usage.completion_tokens, 0)

    def test_chat_streamed(self):
        options = {"include_usage": True}
        stream = client().chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options=options
        )
        check_headers(self, stream.response.headers)
        chunks = list(stream)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertIn(PROMPT, text)
        self.assertEqual({chunk.model for chunk in chunks}, {MODEL})
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_chat_calls_a_tool(self):
        tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
        answer = client().chat.completions.create(model="sim/tool", messages=MESSAGES, tools=[tool])
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(answer.choices[0].message.tool_calls[0].function.name, "weather")

    def test_responses(self):
        raw = client().responses.with_raw_response.create(model=MODEL, input=PROMPT)
        check_headers(self, raw.headers)
        answer = raw.parse()
        self.assertEqual((answer.model, answer.status), (MODEL, "completed"))
        self.assertIn(PROMPT, answer.output_text)
        self.assertGreater(answer.usage.output_tokens, 0)

    def test_responses_streamed(self):
        with client().responses.stream(model=MODEL, input=PROMPT) as stream:
            text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            final = stream.get_final_response()
        self.assertIn(PROMPT, text)
        self.assertEqual(final.output_text, text)
        self.assertGreater(final.usage.output_tokens, 0)

    def test_embeddings(self):
        answer = embed()
        self.assertTrue(answer.data[0].embedding)
        self.assertTrue(all(isinstance(number, float) for number in answer.data[0].embedding))
        self.assertGreater(answer.usage.prompt_tokens, 0)

    def test_models(self):
        models = [model.id for model in client().models.list()]
        self.assertIn("listed/echo", models)
        self.assertIn(MODEL, models)

    def test_anonymous_caller_of_a_free_model(self):
        answer = chat(key="anonymous", model="sim/free")
        self.assertIn(PROMPT, answer.choices[0].message.content)


class Refusals(unittest.TestCase):
    def check(self, status, call, error_type):
        with self.assertRaises(ERRORS[status]) as raised:
            call()
        check_refusal(self, raised.exception, status, error_type)
        # What the SDK itself reads from OpenAI's dialect.
        self.assertEqual(raised.exception.code, error_type)
        self.assertTrue(raised.exception.type)

    def test_every_status_of_every_operation_streamed_or_not(self):
        for status, given in REFUSALS.items():
            given = {name: value for name, value in given.items() if name != "error_type"}
            for operation, more in [
                (chat, {}), (chat, {"stream": True}), (respond, {}), (respond, {"stream": True}), (embed, {}),
            ]:
                with self.subTest(status=status, operation=operation.__name__, **more):
                    self.check(status, lambda: operation(**given, **more), REFUSALS[status]["error_type"])

    def test_bad_requests(self):
        def without_messages():
            client().chat.completions.create(model=MODEL, messages=[], extra_body={"messages": None})

        def wrong_input():
            client().responses.create(model=MODEL, input="", extra_body={"input": 7})

        for call in [without_messages, wrong_input]:
            with self.subTest(call=call.__name__):
                self.check(400, call, "invalid_request")

    def test_paid_model_without_a_key(self):
        self.check(401, lambda: chat(key="anonymous"), "paid_model_auth_required")

    def test_a_limit_lets_its_number_pass(self):
        for _ in range(2):
            chat(key="sdk-limited-openai-python")
        with self.assertRaises(openai.RateLimitError) as raised:
            chat(key="sdk-limited-openai-python")
        check_refusal(self, raised.exception, 429, "rate_limit_exceeded")
        self.assertEqual(raised.exception.response.headers["x-weir-limit"], "rule:two-an-hour")

    def test_an_upstream_that_fails_is_a_server_error(self):
        with self.assertRaises(openai.InternalServerError) as raised:
            chat(model="sim/error-500")
        self.assertGreaterEqual(raised.exception.status_code, 500)

    def test_a_stream_that_breaks_raises(self):
        error = broken(self, chat(model="sim/cut", stream=True), openai.APIError)
        self.assertNotIsInstance(error, openai.APIConnectionError)


if __name__ == "__main__":
    unittest.main()
