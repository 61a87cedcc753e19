#!/usr/bin/env python3
"""The unmodified pinecone package (7, 9 or 10), and the vector stores of LangChain and LlamaIndex where they are installed, against a running server.

Usage: pinecone_client.py BASE_URL KEY OTHER_KEY [EMBEDDING_MODEL]. OTHER_KEY is of another user, who may see nothing of the first. Prints "N passed, N failed".
"""
import importlib.util
import pathlib
import sys

import pinecone
from pinecone import Pinecone, ServerlessSpec

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

base, key, other_key, model = sys.argv[1], sys.argv[2], sys.argv[3], (sys.argv[4:] + [None])[0]
major = int(pinecone.__version__.split(".")[0])
client = Pinecone(api_key=key, host=base)
name = f"movies-{major}"


def raises(what, call, *words):
    try:
        check(what, False, f"no error but {call()}")
    except Exception as e:
        check(what, all(word in str(e) for word in words), repr(e))


def pages(listing):
    """Ids of list(), which the versions give in different shapes."""
    out = []
    for page in listing:
        items = page if isinstance(page, list) else getattr(page, "vectors", None) or [page]
        out += [item if isinstance(item, str) else item.id for item in items]
    return out


def names(found):
    return [match["id"] if isinstance(match, dict) else match.id for match in found.matches]


made = client.create_index(name=name, dimension=3, metric="cosine", spec=ServerlessSpec(cloud="aws", region="eu-west-1"), tags={"team": "a"})
check("an index is made", made.name == name and made.host.endswith("/pinecone/" + name), made)
check("it is listed", name in client.list_indexes().names() and client.has_index(name))
raises("a second of its name is refused", lambda: client.create_index(name=name, dimension=3, metric="cosine", spec=ServerlessSpec(cloud="aws", region="eu-west-1")), "already")
raises("a wrong metric is refused", lambda: client.create_index(name="x", dimension=3, metric="manhattan", spec=ServerlessSpec(cloud="aws", region="eu-west-1")))
raises("an unknown index is not found", lambda: client.describe_index("nowhere"), "nowhere")
raises("a wrong key is refused", lambda: Pinecone(api_key="wrong", host=base).list_indexes())
index = client.Index(host=made.host)
data = [("a", [1.0, 0.0, 0.0], {"genre": "drama", "year": 2020, "tags": ["x", "y"]}), ("b", [0.9, 0.1, 0.0], {"genre": "comedy", "year": 2021}), ("c", [0.0, 1.0, 0.0], {"genre": "drama", "year": 2019}), ("d", [0.0, 0.0, 1.0])]
check("vectors are put", index.upsert(vectors=data, namespace="n").upserted_count == 4)
check("the default namespace is another", index.upsert(vectors=[{"id": "z", "values": [1.0, 0.0, 0.0]}]).upserted_count == 1)
found = index.query(vector=[1.0, 0.0, 0.0], top_k=3, namespace="n", include_metadata=True, include_values=True)
check("the nearest come first, at once", names(found)[:2] == ["a", "b"] and len(found.matches) == 3, found)
check("scores are cosines", abs(found.matches[0].score - 1) < 1e-5 and abs(found.matches[1].score - 0.99388) < 1e-4, found)
check("values and metadata come with them", list(found.matches[0].values) == [1, 0, 0] and found.matches[0].metadata["year"] == 2020 and found.matches[0].metadata["tags"] == ["x", "y"], found)
check("a query by id", names(index.query(id="c", top_k=1, namespace="n")) == ["c"])
for what, condition, expected in [
    ("equal", {"genre": "drama"}, {"a", "c"}),
    ("a range and a list", {"year": {"$gte": 2020}, "genre": {"$in": ["comedy", "x"]}}, {"b"}),
    ("or", {"$or": [{"year": {"$lt": 2020}}, {"tags": "y"}]}, {"a", "c"}),
    ("not equal holds where it is absent", {"genre": {"$ne": "drama"}}, {"b", "d"}),
    ("exists", {"genre": {"$exists": False}}, {"d"}),
]:
    got = set(names(index.query(vector=[1.0, 0.0, 0.0], top_k=10, namespace="n", filter=condition)))
    check(f"filter: {what}", got == expected, got)
raises("an unknown operator is refused", lambda: index.query(vector=[1.0, 0.0, 0.0], top_k=1, namespace="n", filter={"year": {"$near": 1}}), "$near")
raises("a wrong dimension is refused", lambda: index.query(vector=[1.0, 0.0], top_k=1), "dimension")
raises("a vector of zeros is refused", lambda: index.upsert(vectors=[("o", [0.0, 0.0, 0.0])]))
raises("sparse values are refused", lambda: index.upsert(vectors=[{"id": "s", "values": [1.0, 0.0, 0.0], "sparse_values": {"indices": [1], "values": [0.5]}}]), "sparse")
check("fetch leaves out what is not there", set(index.fetch(ids=["a", "d", "gone"], namespace="n").vectors) == {"a", "d"})
check("ids are listed in order, in pages", pages(index.list(namespace="n", limit=3)) == ["a", "b", "c", "d"])
check("and by prefix", pages(index.list(prefix="c", namespace="n")) == ["c"])
stats = index.describe_index_stats()
check("statistics by namespace", stats.total_vector_count == 5 and stats.namespaces["n"].vector_count == 4 and stats.dimension == 3, stats)
index.update(id="a", values=[0.0, 0.0, 1.0], set_metadata={"year": 1999, "new": True}, namespace="n")
a = index.fetch(ids=["a"], namespace="n").vectors["a"]
check("an update changes a part", list(a.values) == [0, 0, 1] and a.metadata["year"] == 1999 and a.metadata["genre"] == "drama" and a.metadata["new"] is True, a)
raises("an update of nothing is an error", lambda: index.update(id="gone", values=[1.0, 0.0, 0.0], namespace="n"), "gone")
if major >= 9:
    check("an update by filter", index.update(filter={"genre": "drama"}, set_metadata={"seen": True}, namespace="n").matched_records == 2)
    check("a fetch by metadata", set(index.fetch_by_metadata(filter={"seen": True}, namespace="n").vectors) == {"a", "c"})
    raises("sparse indexes are refused", lambda: client.create_index(name="sparse", metric="dotproduct", vector_type="sparse", spec=ServerlessSpec(cloud="aws", region="eu-west-1")))
listed = {one.name for page in index.list_namespaces() for one in getattr(page, "namespaces", None) or [page]}
check("namespaces are listed", listed == {"n", "__default__"}, listed)
index.delete(filter={"genre": "drama"}, namespace="n")
check("a delete by filter", pages(index.list(namespace="n")) == ["b", "d"])
index.delete(ids=["b", "gone"], namespace="n")
check("a delete by id", pages(index.list(namespace="n")) == ["d"])
index.delete(delete_all=True, namespace="n")
check("a namespace is emptied", pages(index.list(namespace="n")) == [] and index.describe_index_stats().total_vector_count == 1)
euclid = client.create_index(name=f"euclid-{major}", dimension=2, metric="euclidean", spec=ServerlessSpec(cloud="aws", region="eu-west-1"))
far = client.Index(host=euclid.host)
far.upsert(vectors=[("near", [1.0, 1.0]), ("far", [4.0, 5.0])])
found = far.query(vector=[1.0, 1.0], top_k=2)
check("euclidean scores are squared distances, nearest first", names(found) == ["near", "far"] and abs(found.matches[1].score - 25) < 1e-4, found)
big = client.create_index(name=f"big-{major}", dimension=8, metric="dotproduct", spec=ServerlessSpec(cloud="aws", region="eu-west-1"))
many = client.Index(host=big.host)
many.upsert(vectors=[(f"v{i:04}", [float(i % 7), float(i), 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], {"even": i % 2 == 0}) for i in range(2500)], batch_size=500)
found = many.query(vector=[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], top_k=100, filter={"even": False})
check("batches, and a filter that leaves half", names(found)[:2] == ["v2499", "v2497"] and len(found.matches) == 100, names(found)[:3])
check("every page of a long list", len(pages(many.list())) == 2500)

# Who made it decides.
other = Pinecone(api_key=other_key, host=base)
check("another user sees none of it", other.list_indexes().names() == [])
raises("nor describes it", lambda: other.describe_index(name), name)
raises("nor asks it", lambda: other.Index(host=made.host).query(vector=[1.0, 0.0, 0.0], top_k=1), name)
client.configure_index(name, tags={"tenfold_readers": "public"})
check("until its tag lets him in", names(other.Index(host=made.host).query(vector=[1.0, 0.0, 0.0], top_k=1)) == ["z"])
raises("but he changes nothing", lambda: other.Index(host=made.host).delete(ids=["z"]), "owner")
client.configure_index(name, deletion_protection="enabled")
raises("a protected index stays", lambda: client.delete_index(name, timeout=-1), "protected")
client.configure_index(name, deletion_protection="disabled")

if model:
    texts = client.create_index_for_model(name=f"texts-{major}", cloud="aws", region="eu-west-1", embed={"model": model, "field_map": {"text": "body"}})
    records = client.Index(host=texts.host)
    lines = [{"_id": "1", "body": "The tent keeps out the rain.", "kind": "tent"}, {"_id": "2", "body": "A warm jacket for the winter.", "kind": "jacket"}, {"_id": "3", "body": "Boots for long walks.", "kind": "shoes"}]
    records.upsert_records(records=lines, namespace="shop")
    ask = {"inputs": {"text": "something to wear on my feet"}, "top_k": 1}
    found = records.search(namespace="shop", query=ask) if major < 9 else records.search(namespace="shop", **ask)
    hit = found.result.hits[0]
    check("texts are found by meaning", (hit["_id"] if major < 9 else hit.id) == "3", found)
    raises("a model that is not here is refused", lambda: client.create_index_for_model(name="m", cloud="aws", region="eu-west-1", embed={"model": "multilingual-e5-large", "field_map": {"text": "t"}}), model)
    vectors = client.inference.embed(model=model, inputs=["boots", "shoes"], parameters={"input_type": "passage"})
    check("texts are embedded", len(vectors.data) == 2 and len(vectors.data[0]["values"] if isinstance(vectors.data[0], dict) else vectors.data[0].values) == texts.dimension if major < 10 else len(vectors.data) == 2, vectors)
    client.delete_index(f"texts-{major}", timeout=-1)

if importlib.util.find_spec("langchain_pinecone"):
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_pinecone import PineconeVectorStore

    class Letters(Embeddings):
        """How often each of three letters stands in a text: enough to tell which text is meant."""

        def embed_query(self, text):
            return [1.0 + text.count(letter) for letter in "xyz"]

        def embed_documents(self, texts):
            return [self.embed_query(text) for text in texts]

    store = PineconeVectorStore(index=client.Index(host=made.host), embedding=Letters(), namespace="langchain")
    ids = store.add_documents([Document("xxxxxxxx", metadata={"n": 1}), Document("yyyyyyyy", metadata={"n": 2}), Document("zzzzzzzz", metadata={"n": 3})], ids=["x", "y", "z"])
    check("LangChain: documents are added", ids == ["x", "y", "z"])
    found = store.similarity_search_with_score("yy", k=2)
    check("LangChain: the nearest with its text", found[0][0].page_content == "yyyyyyyy" and found[0][0].metadata["n"] == 2 and found[0][1] > found[1][1], found)
    check("LangChain: a filter", [one.page_content for one in store.similarity_search("yy", k=3, filter={"n": {"$ne": 2}})] != [] and all(one.metadata["n"] != 2 for one in store.similarity_search("yy", k=3, filter={"n": {"$ne": 2}})))
    check("LangChain: maximal marginal relevance", len(store.max_marginal_relevance_search("yy", k=2, fetch_k=3)) == 2)
    check("LangChain: as a retriever", store.as_retriever(search_kwargs={"k": 1}).invoke("zz")[0].page_content == "zzzzzzzz")
    store.delete(ids=["y"])
    check("LangChain: what is deleted is gone", all(one.page_content != "yyyyyyyy" for one in store.similarity_search("yy", k=3)))

if importlib.util.find_spec("llama_index"):
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters, VectorStoreQuery
    from llama_index.vector_stores.pinecone import PineconeVectorStore

    store = PineconeVectorStore(pinecone_index=client.Index(host=made.host), namespace="llama")
    source = lambda ref: {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=ref)}
    store.add([TextNode(id_="p", text="tents", embedding=[1.0, 0.0, 0.0], metadata={"kind": "a"}, relationships=source("doc1")), TextNode(id_="q", text="boots", embedding=[0.0, 1.0, 0.0], metadata={"kind": "b"}, relationships=source("doc2"))])
    found = store.query(VectorStoreQuery(query_embedding=[0.0, 1.0, 0.0], similarity_top_k=2))
    check("LlamaIndex: the nearest node with its text", found.nodes[0].get_content() == "boots" and found.similarities[0] > found.similarities[1], found)
    narrowed = store.query(VectorStoreQuery(query_embedding=[0.0, 1.0, 0.0], similarity_top_k=2, filters=MetadataFilters(filters=[ExactMatchFilter(key="kind", value="a")])))
    check("LlamaIndex: a filter", [one.get_content() for one in narrowed.nodes] == ["tents"], narrowed)
    store.delete("doc2")
    check("LlamaIndex: a document is deleted", [one.get_content() for one in store.query(VectorStoreQuery(query_embedding=[0.0, 1.0, 0.0], similarity_top_k=2)).nodes] == ["tents"])

for one in (name, f"euclid-{major}", f"big-{major}"):
    client.delete_index(one, timeout=-1)
check("nothing is left", client.list_indexes().names() == [])
checks.finish()
