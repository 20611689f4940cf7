"""The official `openai` package for Python against /v1: one line of JSON for each thing that was tried."""

import json
import os
import sys

import openai

try:
    import httpx2 as httpx
except ImportError:  # Older versions of the package come with its predecessor.
    import httpx


def record(response):
    """Keeps what was sent, and whether it was understood."""
    request = response.request
    if path := os.environ.get("OPENCLAW_RECORD"):
        body = json.loads(request.content) if request.content else None
        line = {"method": request.method, "path": request.url.path, "body": body, "status": response.status_code}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


client = openai.OpenAI(
    base_url=os.environ["OPENCLAW_BASE"],
    api_key=os.environ["OPENCLAW_TOKEN"],
    timeout=30,
    http_client=httpx.Client(event_hooks={"response": [record]}),
)
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}}]


def said(text, **more):
    return dict(model="openclaw", messages=[{"role": "user", "content": text}], **more)


def whole():
    answer = client.chat.completions.create(**said("good morning"))
    assert "good morning" in answer.choices[0].message.content, answer
    assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0, answer


def stream():
    pieces = list(client.chat.completions.create(**said("one two three", stream=True, stream_options={"include_usage": True})))
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert "one two three" in text, text
    ends = [piece.choices[0].finish_reason for piece in pieces if piece.choices]
    assert ends[-1] == "stop" and set(ends[:-1]) == {None}, ends
    assert pieces[-1].usage.completion_tokens > 0, pieces[-1]


def helper_stream():
    with client.chat.completions.stream(**said("helped along")) as events:
        for _ in events:
            pass
        assert "helped along" in events.get_final_completion().choices[0].message.content


def tools():
    question = said('/tool look {"at":"sky"}', tools=TOOLS)
    answer = client.chat.completions.create(**question)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls", answer
    call = message.tool_calls[0]
    assert call.function.name == "look" and json.loads(call.function.arguments) == {"at": "sky"}, call
    question["messages"] += [message, {"role": "tool", "tool_call_id": call.id, "content": "it is blue"}]
    answer = client.chat.completions.create(**question)
    assert "it is blue" in answer.choices[0].message.content, answer


def tools_streamed():
    calls = []
    for piece in client.chat.completions.create(**said('/tool look {"at":"sky"}', tools=TOOLS, stream=True)):
        for choice in piece.choices:
            calls += choice.delta.tool_calls or []
    assert len(calls) == 1 and calls[0].index == 0 and calls[0].function.name == "look", calls


def image():
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = client.chat.completions.create(model="openclaw", messages=[{"role": "user", "content": parts}])
    assert "1 picture" in answer.choices[0].message.content, answer


def errors():
    for wrong, error in [
        (lambda: client.with_options(api_key="wrong").models.list(), openai.AuthenticationError),
        (lambda: client.chat.completions.create(model="openclaw", messages=[]), openai.BadRequestError),
        (lambda: client.chat.completions.create(**{**said("x"), "model": "openclaw:nobody"}), openai.NotFoundError),
    ]:
        try:
            wrong()
        except error:
            continue
        raise AssertionError(error)


def models():
    assert "openclaw:main" in [model.id for model in client.models.list()]
    assert client.models.retrieve("openclaw").id == "openclaw"


def responses():
    answer = client.responses.create(model="openclaw", input="good evening", instructions="be brief")
    assert "good evening" in answer.output_text and answer.status == "completed", answer
    assert answer.usage.total_tokens > 0, answer


def responses_stream():
    kinds, text = [], ""
    for event in client.responses.create(model="openclaw", input="one two three", stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert "one two three" in text, text


def responses_helper():
    with client.responses.stream(model="openclaw", input="helped along") as events:
        for _ in events:
            pass
        assert "helped along" in events.get_final_response().output_text


def responses_tools():
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}
    answer = client.responses.create(model="openclaw", input="/tool look {}", tools=[tool])
    call = [item for item in answer.output if item.type == "function_call"][0]
    told = [{"role": "user", "content": "/tool look {}"}, call, {"type": "function_call_output", "call_id": call.call_id, "output": "a cat"}]
    answer = client.responses.create(model="openclaw", input=told, tools=[tool])
    assert "a cat" in answer.output_text, answer


def leaves_early():
    pieces = client.chat.completions.create(**said("/slow 200\na b c d e f g h i j k l m n", stream=True))
    for piece in pieces:
        if piece.choices and piece.choices[0].delta.content:
            break
    pieces.close()
    whole()


failed = False
for check in [whole, stream, helper_stream, tools, tools_streamed, image, errors, models, responses, responses_stream, responses_helper, responses_tools, leaves_early]:
    try:
        check()
        print(json.dumps({"check": check.__name__, "version": openai.__version__}), flush=True)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the result
        failed = True
        print(json.dumps({"check": check.__name__, "version": openai.__version__, "error": f"{type(error).__name__}: {error}"[:600]}), flush=True)
sys.exit(failed)
