#!/usr/bin/env python3
"""Files and vector stores of the unmodified openai package against a running server. Usage: openai_vector_stores.py BASE_URL KEY OTHER_KEY. Prints "N passed, N failed".

KEY is of an agent, OTHER_KEY of another user, who may see nothing of the first until he is let in.
"""
import pathlib
import sys

import openai

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

base, key, other_key = sys.argv[1:4]
client = openai.OpenAI(base_url=base + "/v1", api_key=key, max_retries=0)
other = openai.OpenAI(base_url=base + "/v1", api_key=other_key, max_retries=0)


def raises(what, kind, call, *words):
    try:
        check(what, False, f"no error but {call()}")
    except kind as e:
        check(what, all(word in str(e) for word in words), str(e))


TENTS = b"# Tents\n\nA tent for two costs 29 euros a day.\n\n## Rain\n\nThe ridge tent keeps out heavy rain.\n"
BOOTS = b"# Boots\n\nHiking boots are lent for 12 euros a day. They are waxed after each use.\n"
tents = client.files.create(file=("tents.md", TENTS), purpose="assistants")
boots = client.files.create(file=("boots.md", BOOTS), purpose="assistants")
check("a file is kept", tents.bytes == len(TENTS) and tents.filename == "tents.md" and tents.purpose == "assistants", tents)
check("its bytes come back", client.files.content(tents.id).read() == TENTS)
check("files are listed, newest first", [one.id for one in client.files.list()] == [boots.id, tents.id])
check("and paged", [one.id for one in client.files.list(limit=1)] == [boots.id, tents.id] and [one.id for one in client.files.list(order="asc", limit=1)] == [tents.id, boots.id])
check("one is described", client.files.retrieve(boots.id).filename == "boots.md")
raises("a wrong purpose is refused", openai.BadRequestError, lambda: client.files.create(file=("a", b"x"), purpose="art"), "purpose")
raises("an unknown file is not found", openai.NotFoundError, lambda: client.files.retrieve("file_nothing"))
raises("another user's file is not found", openai.NotFoundError, lambda: other.files.retrieve(tents.id))
check("nor listed", list(other.files.list()) == [])

store = client.vector_stores.create(name="Rental", metadata={"team": "a"})
check("a vector store is made", store.name == "Rental" and store.metadata == {"team": "a"} and store.file_counts.total == 0, store)
one = client.vector_stores.files.create_and_poll(file_id=tents.id, vector_store_id=store.id, attributes={"kind": "tent", "year": 2024}, poll_interval_ms=100)
check("a file is read", one.status == "completed" and one.usage_bytes > 0 and one.attributes["kind"] == "tent", one)
batch = client.vector_stores.file_batches.create_and_poll(vector_store_id=store.id, file_ids=[boots.id], poll_interval_ms=100)
check("and a batch", batch.status == "completed" and batch.file_counts.completed == 1, batch)
check("the store counts them", client.vector_stores.retrieve(store.id).file_counts.completed == 2)
found = client.vector_stores.search(vector_store_id=store.id, query="what do hiking boots cost?").data
check("the passage is found", found[0].file_id == boots.id and "12 euros" in found[0].content[0].text and found[0].filename == "boots.md" and found[0].score > 0, found)
kinds = client.vector_stores.search(vector_store_id=store.id, query="what do boots cost?", filters={"type": "eq", "key": "kind", "value": "tent"}).data
check("a filter narrows", kinds and all(hit.file_id == tents.id for hit in kinds), kinds)
both = {"type": "and", "filters": [{"type": "gte", "key": "year", "value": 2024}, {"type": "in", "key": "kind", "value": ["boots"]}]}
check("and combines", client.vector_stores.search(vector_store_id=store.id, query="cost", filters=both).data == [])
raises("an unknown comparison is refused", openai.BadRequestError, lambda: client.vector_stores.search(vector_store_id=store.id, query="x", filters={"type": "like", "key": "kind", "value": "t"}), "filters.type")
check("max_num_results", len(client.vector_stores.search(vector_store_id=store.id, query="euros a day", max_num_results=1).data) == 1)
client.vector_stores.files.update(boots.id, vector_store_id=store.id, attributes={"kind": "boots", "year": 2025})
check("attributes change", [hit.file_id for hit in client.vector_stores.search(vector_store_id=store.id, query="hiking boots", filters=both).data][:1] == [boots.id])
text = "".join(part.text for part in client.vector_stores.files.content(tents.id, vector_store_id=store.id))
check("what was read is shown", "29 euros" in text and "ridge tent" in text, text)
check("files of a store are listed", {one.id for one in client.vector_stores.files.list(vector_store_id=store.id, limit=1)} == {tents.id, boots.id})
broken = client.files.create(file=("broken.pdf", b"%PDF-1.4 nothing"), purpose="assistants")
failed = client.vector_stores.files.create_and_poll(file_id=broken.id, vector_store_id=store.id, poll_interval_ms=100)
check("a broken file says why", failed.status == "failed" and failed.last_error.code == "invalid_file" and failed.last_error.message, failed)
uploaded = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("stoves.txt", b"Gas stoves are not lent in summer."), poll_interval_ms=100)
check("upload and read in one", uploaded.status == "completed")

raises("a store of another is not found", openai.NotFoundError, lambda: other.vector_stores.retrieve(store.id))
raises("nor searched", openai.NotFoundError, lambda: other.vector_stores.search(vector_store_id=store.id, query="boots"))
client.vector_stores.update(store.id, metadata={"tenfold_readers": "public"}, name="Rental 2")
check("until its metadata lets him in", other.vector_stores.search(vector_store_id=store.id, query="hiking boots").data[0].file_id == boots.id)
raises("but he adds nothing", openai.APIStatusError, lambda: other.vector_stores.files.create(file_id=other.files.create(file=("x.txt", b"x"), purpose="assistants").id, vector_store_id=store.id), "owner")
raises("expiry is refused", openai.APIStatusError, lambda: client.vector_stores.create(name="x", expires_after={"anchor": "last_active_at", "days": 1}), "expires_after")

client.vector_stores.files.delete(boots.id, vector_store_id=store.id)
check("a file that is taken out is not found", all(hit.file_id != boots.id for hit in client.vector_stores.search(vector_store_id=store.id, query="hiking boots").data))
check("but stays a file", client.files.retrieve(boots.id).id == boots.id)
client.files.delete(tents.id)
check("a file that is deleted leaves its stores", all(hit.file_id != tents.id for hit in client.vector_stores.search(vector_store_id=store.id, query="tent for two").data))
raises("and is gone", openai.NotFoundError, lambda: client.files.content(tents.id))
check("a store is deleted", client.vector_stores.delete(store.id).deleted and list(client.vector_stores.list()) == [])
for file in list(client.files.list()):
    client.files.delete(file.id)
check("nothing is left", list(client.files.list()) == [])
checks.finish()
