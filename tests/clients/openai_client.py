#!/usr/bin/env python3
"""The unmodified openai package against a running server. Usage: openai_client.py BASE_URL KEY [MODEL]. Prints "N passed, N failed".

MODEL names a bare generator; without one (a server with --no-models) the checks that need it are left out and said so.
"""
import json
import pathlib
import sys

import openai

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

base, key, model = sys.argv[1], sys.argv[2], (sys.argv[3:] + [None])[0]


def raises(what, kind, call):
    try:
        seen = call()
        check(what, False, f"no error but {seen}")
    except kind as e:
        check(what, bool(e.body.get("message")) and e.request_id is not None, (e.body, e.request_id))


client = openai.OpenAI(base_url=base + "/v1", api_key=key, max_retries=0)
ids = [one.id for one in client.models.list()]
check("the assistant is listed", "assistant" in ids, ids)
check("one model is described", client.models.retrieve("assistant").id == "assistant")
ask = [{"role": "user", "content": "How long do I have to return an item?"}]
answer = client.chat.completions.create(model="assistant", messages=ask)
text = answer.choices[0].message.content
check("the assistant answers with the fact", "60 days" in text, text)
check("it finishes", answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens >= 0, answer)
notes = answer.choices[0].message.annotations
check("citations are annotations", bool(notes) and notes[0].type == "url_citation" and text[notes[0].url_citation.start_index] == "[", notes)
streamed, finish, usage, cited = "", None, None, None
for chunk in client.chat.completions.create(model="assistant", messages=ask, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        streamed += choice.delta.content or ""
        finish = choice.finish_reason or finish
        cited = getattr(choice.delta, "annotations", None) or cited
check("a stream says the same", streamed == text and finish == "stop", (streamed, finish))
check("a stream ends with usage and carries citations", usage is not None and bool(cited), (usage, cited))
raises("a wrong key", openai.AuthenticationError, lambda: openai.OpenAI(base_url=base + "/v1", api_key="wrong", max_retries=0).models.list())
raises("an unknown model", openai.NotFoundError, lambda: client.chat.completions.create(model="gpt-9", messages=ask))
raises("a wrong role", openai.BadRequestError, lambda: client.chat.completions.create(model="assistant", messages=[{"role": "king", "content": "x"}]))
raises("a wrong field", openai.BadRequestError, lambda: client.chat.completions.create(model="assistant", messages=ask, temperature=9))
raises("an over-long message", openai.BadRequestError, lambda: client.chat.completions.create(model="assistant", messages=[{"role": "user", "content": "x" * 9000}]))
raises("no messages", openai.BadRequestError, lambda: client.chat.completions.create(model="assistant", messages=[]))

if model:
    embedder = next(one for one in ids if one not in ("assistant", model))
    vectors = client.embeddings.create(model=embedder, input=["boots", "shoes", "taxes"]).data
    dot = lambda a, b: sum(x * y for x, y in zip(a.embedding, b.embedding))
    check("embeddings have length one and sense", abs(dot(vectors[0], vectors[0]) - 1) < 1e-3 and dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]), vectors[0].embedding[:3])
    check("plain floats are the same", client.embeddings.create(model=embedder, input="boots", encoding_format="float").data[0].embedding[0] == vectors[0].embedding[0])
    said = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say the word tent."}], max_tokens=20)
    check("a bare model answers", said.usage.completion_tokens > 0 and said.choices[0].message.content, said)
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "population": {"type": "integer"}}, "required": ["city", "population"], "additionalProperties": False}
    bound = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Name a city."}], response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}, max_tokens=100)
    parsed = json.loads(bound.choices[0].message.content)
    check("a JSON Schema binds", set(parsed) == {"city", "population"} and isinstance(parsed["population"], int), parsed)
    tools = [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a city", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}}]
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    called = client.chat.completions.create(model=model, messages=question, tools=tools, tool_choice="required", max_tokens=100).choices[0]
    check("a tool is called", called.finish_reason == "tool_calls" and called.message.tool_calls[0].function.name == "get_weather" and "city" in json.loads(called.message.tool_calls[0].function.arguments), called)
    name = arguments = ""
    for chunk in client.chat.completions.create(model=model, messages=question, tools=tools, tool_choice="required", max_tokens=100, stream=True):
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    check("a tool call streams", name == "get_weather" and "city" in json.loads(arguments), (name, arguments))
    raises("an over-long prompt", openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=[{"role": "user", "content": "word " * 9000}]))
    with client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Tell a long story."}], max_tokens=2000, stream=True) as stream:
        next(iter(stream))
    check("a client that leaves frees the model", client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=2, timeout=10).usage.completion_tokens > 0)
else:
    print("left out without a model: embeddings, bare chat, JSON Schema, tools")
checks.finish()
