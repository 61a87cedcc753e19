#!/usr/bin/env python3
"""The unmodified weaviate-client (version 4), and the vector stores of LangChain and LlamaIndex where they are installed, against a running server.

Usage: weaviate_client.py BASE_URL GRPC_PORT KEY OTHER_KEY [EMBEDDING_MODEL]. OTHER_KEY is of another user, who may see nothing of the first. Prints "N passed, N failed".
"""
import datetime
import importlib.util
import pathlib
import sys
import urllib.parse
import uuid

import weaviate
from weaviate.classes.config import Configure, DataType, Property, Tokenization, VectorDistances
from weaviate.classes.data import DataObject, GeoCoordinate
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.classes.query import Filter, GroupBy, HybridFusion, MetadataQuery, Sort
from weaviate.classes.aggregate import GroupByAggregate
from weaviate.classes.tenants import Tenant, TenantActivityStatus

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

base, grpc_port, key, other_key, model = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], (sys.argv[5:] + [None])[0]
at = urllib.parse.urlparse(base)
prefix = "LangChain" if importlib.util.find_spec("langchain_weaviate") else "LlamaIndex" if importlib.util.find_spec("llama_index") else "Plain"


def connect(with_key):
    return weaviate.connect_to_custom(
        http_host=at.hostname, http_port=at.port, http_secure=False, grpc_host=at.hostname, grpc_port=grpc_port, grpc_secure=False,
        auth_credentials=Auth.api_key(with_key) if with_key else None, additional_config=AdditionalConfig(timeout=Timeout(init=10, query=30, insert=60)),
    )


def raises(what, call, *words):
    try:
        check(what, False, f"no error but {call()}")
    except Exception as e:
        check(what, all(word in str(e) for word in words), repr(e))


def uid(n):
    return uuid.UUID(int=n + 1)


client = connect(key)
check("it is ready, and says what it is", client.is_ready() and client.is_live() and client.get_meta()["version"].startswith("1."), client.get_meta())
raises("a wrong key is refused", lambda: connect("wrong"), "API key")
raises("and none at all", lambda: connect(None))

# Schema.
films = f"{prefix}Films"
made = client.collections.create(
    films, description="Films", vector_config=Configure.Vectors.self_provided(),
    properties=[Property(name="title", data_type=DataType.TEXT), Property(name="genre", data_type=DataType.TEXT, tokenization=Tokenization.FIELD), Property(name="year", data_type=DataType.INT), Property(name="tags", data_type=DataType.TEXT_ARRAY, tokenization=Tokenization.FIELD),
                Property(name="seen", data_type=DataType.BOOL), Property(name="shot", data_type=DataType.DATE), Property(name="at", data_type=DataType.GEO_COORDINATES), Property(name="scores", data_type=DataType.NUMBER_ARRAY)])
check("a collection is made", client.collections.exists(films) and not client.collections.exists(f"{prefix}Nothing"))
config = made.config.get()
check("its configuration reads back", config.name == films and config.description == "Films" and {one.name for one in config.properties} == {"title", "genre", "year", "tags", "seen", "shot", "at", "scores"} and config.vector_config["default"].vectorizer.vectorizer.value == "none", config)
check("it is listed", films in client.collections.list_all() and films in client.collections.list_all(simple=False))
raises("a second of its name is refused", lambda: client.collections.create(films), "already")
made.config.add_property(Property(name="note", data_type=DataType.TEXT))
check("a property is added", "note" in {one.name for one in made.config.get().properties})
made.config.update(description="Moving pictures")
check("its description changes", made.config.get().description == "Moving pictures")
for what, words, call in [
    ("a module that is not here", ("text2vec-openai",), lambda: client.collections.create(f"{prefix}X", vector_config=Configure.Vectors.text2vec_openai())),
    ("two vectors", ("one vector",), lambda: client.collections.create(f"{prefix}X", vector_config=[Configure.Vectors.self_provided(name="a"), Configure.Vectors.self_provided(name="b")])),
    ("manhattan distance", ("manhattan",), lambda: client.collections.create(f"{prefix}X", vector_config=Configure.Vectors.self_provided(vector_index_config=Configure.VectorIndex.hnsw(distance_metric=VectorDistances.MANHATTAN)))),
    ("a generative module", ("generative-openai",), lambda: client.collections.create(f"{prefix}X", generative_config=Configure.Generative.openai())),
    ("another tokenization", ("trigram",), lambda: client.collections.create(f"{prefix}X", properties=[Property(name="t", data_type=DataType.TEXT, tokenization=Tokenization.TRIGRAM)])),
    ("phone numbers", ("phone",), lambda: client.collections.create(f"{prefix}X", properties=[Property(name="t", data_type=DataType.PHONE_NUMBER)])),
]:
    raises(f"refused: {what}", call, *words)

# Objects.
when = datetime.datetime(1999, 3, 31, 12, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
one = {"title": "The Matrix", "genre": "science fiction", "year": 1999, "tags": ["x", "y"], "seen": True, "shot": when, "at": GeoCoordinate(latitude=48.1, longitude=11.6), "scores": [1.5, 2.0], "note": "A hacker learns the truth."}
check("an object is inserted", made.data.insert(one, uuid=uid(0), vector=[1.0, 0.0, 0.0]) == uid(0))
raises("an id is there once", lambda: made.data.insert(one, uuid=uid(0), vector=[1.0, 0.0, 0.0]), "already exists")
raises("a vector of another length is refused", lambda: made.data.insert({"title": "x"}, vector=[1.0, 0.0]), "dimensions")
raises("a value of another type is refused", lambda: made.data.insert({"year": "MCMXCIX"}, vector=[1.0, 0.0, 0.0]), "year")
many = made.data.insert_many([
    DataObject(properties={"title": "A Quiet Place", "genre": "horror", "year": 2018, "tags": ["x"], "seen": False, "at": GeoCoordinate(latitude=52.5, longitude=13.4)}, uuid=uid(1), vector=[0.9, 0.1, 0.0]),
    DataObject(properties={"title": "Le Fabuleux Destin d'Amélie Poulain", "genre": "comedy", "year": 2001, "shot": datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc), "scores": [2.0, 3.25]}, uuid=uid(2), vector=[0.0, 1.0, 0.0]),
    DataObject(properties={"title": "The quick brown matrix", "genre": "none"}, uuid=uid(3), vector=[0.0, 0.0, 1.0]),
    DataObject(properties={"title": "bad"}, uuid=uid(4), vector=[0.0, 0.0])])
check("many are, and the bad one says why", list(many.errors) == [3] and "dimensions" in many.errors[3].message and len(many.uuids) == 3, many)
got = made.query.fetch_object_by_id(uid(0), include_vector=True)
check("an object is read back as it was", got.properties["title"] == one["title"] and got.properties["year"] == 1999 and got.properties["tags"] == ["x", "y"] and got.properties["seen"] is True and got.properties["shot"] == when and abs(got.properties["at"].latitude - 48.1) < 1e-5 and got.properties["scores"] == [1.5, 2.0], got)
check("with its vector and times", got.vector["default"] == [1.0, 0.0, 0.0] and got.metadata.creation_time is not None, got)
check("what is not there is none", made.query.fetch_object_by_id(uid(99)) is None and made.data.exists(uid(1)) and not made.data.exists(uid(99)))
check("an absent property is none", made.query.fetch_object_by_id(uid(3)).properties["year"] is None)
made.data.update(uid(3), properties={"year": 2010, "genre": None})
got = made.query.fetch_object_by_id(uid(3), include_vector=True)
check("an update changes a part", got.properties["year"] == 2010 and got.properties["title"] == "The quick brown matrix" and got.properties["genre"] is None and got.vector["default"] == [0.0, 0.0, 1.0], got)
made.data.replace(uid(3), properties={"title": "Fox and dog", "year": 2011}, vector=[0.0, 0.1, 1.0])
got = made.query.fetch_object_by_id(uid(3), include_vector=True)
check("a replacement changes all", got.properties["title"] == "Fox and dog" and got.properties["genre"] is None and abs(got.vector["default"][1] - 0.1) < 1e-6, got)
long = "word " * 2000 + "needle"
made.data.update(uid(3), properties={"note": long})
check("a long text is kept whole", made.query.fetch_object_by_id(uid(3)).properties["note"] == long)


def ids(found):
    return [one.uuid.int - 1 for one in found.objects]


check("objects in order, in pages", ids(made.query.fetch_objects(limit=2)) == [0, 1] and ids(made.query.fetch_objects(limit=2, offset=2)) == [2, 3])
check("after a cursor", ids(made.query.fetch_objects(limit=2, after=uid(1))) == [2, 3])
check("sorted", ids(made.query.fetch_objects(sort=Sort.by_property("year", ascending=False))) == [1, 3, 2, 0] and ids(made.query.fetch_objects(sort=Sort.by_property("genre").by_property("year"), limit=2)) == [3, 2])
check("by their ids", ids(made.query.fetch_objects_by_ids([uid(2), uid(0)])) == [0, 2])
check("only some properties", made.query.fetch_objects(limit=1, return_properties=["year"]).objects[0].properties == {"year": 1999})

# Filters.
for what, condition, expected in [
    ("equal by words", Filter.by_property("title").equal("matrix"), {0}),
    ("equal needs every word", Filter.by_property("title").equal("quiet matrix"), set()),
    ("equal without accents", Filter.by_property("title").equal("amelie"), {2}),
    ("equal as a whole", Filter.by_property("genre").equal("science fiction"), {0}),
    ("half of a field is not it", Filter.by_property("genre").equal("science"), set()),
    ("not equal", Filter.by_property("genre").not_equal("horror"), {0, 2, 3}),
    ("a range", Filter.by_property("year").greater_or_equal(2001) & Filter.by_property("year").less_than(2018), {2, 3}),
    ("or", Filter.by_property("year").less_than(2000) | Filter.by_property("genre").equal("comedy"), {0, 2}),
    ("not", Filter.not_(Filter.by_property("genre").equal("comedy")), {0, 1, 3}),
    ("contains any", Filter.by_property("tags").contains_any(["y", "z"]), {0}),
    ("contains all", Filter.by_property("tags").contains_all(["x", "y"]), {0}),
    ("contains none", Filter.by_property("tags").contains_none(["y"]), {1, 2, 3}),
    ("a number of a list", Filter.by_property("scores").contains_any([2.0]), {0, 2}),
    ("true", Filter.by_property("seen").equal(True), {0}),
    ("like, by words", Filter.by_property("title").like("mat*"), {0}),
    ("like, as a whole", Filter.by_property("genre").like("*f?ction"), {0}),
    ("none", Filter.by_property("genre").is_none(True), {3}),
    ("a long text is not none", Filter.by_property("note").is_none(False), {0, 3}),
    ("by id", Filter.by_id().equal(uid(1)), {1}),
    ("by ids", Filter.by_id().contains_any([uid(1), uid(2)]), {1, 2}),
    ("not an id", Filter.by_id().not_equal(uid(1)), {0, 2, 3}),
    ("a time", Filter.by_property("shot").less_than(datetime.datetime(1999, 12, 31, tzinfo=datetime.timezone.utc)), {0}),
    ("made lately", Filter.by_creation_time().greater_than(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)), {0, 1, 2, 3}),
    ("made tomorrow", Filter.by_update_time().greater_than(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)), set()),
    ("near a place", Filter.by_property("at").within_geo_range(GeoCoordinate(latitude=48.0, longitude=11.5), 50_000), {0}),
]:
    try:
        got = set(ids(made.query.fetch_objects(filters=condition)))
    except Exception as e:
        got = repr(e)
    check(f"filter: {what}", got == expected, got)
    if not isinstance(got, str):
        near = set(ids(made.query.near_vector([1.0, 0.0, 0.0], filters=condition, limit=10)))
        check(f"filter in a search: {what}", near == expected, near)
raises("a filter on an unknown property", lambda: made.query.fetch_objects(filters=Filter.by_property("colour").equal("red")), "colour")
raises("a filter on a length", lambda: made.query.fetch_objects(filters=Filter.by_property("title", length=True).greater_than(3)), "lengths")

# Searches.
found = made.query.near_vector([1.0, 0.0, 0.0], limit=2, return_metadata=MetadataQuery(distance=True, certainty=True))
check("the nearest come first, with their distance", ids(found) == [0, 1] and abs(found.objects[0].metadata.distance) < 1e-5 and abs(found.objects[1].metadata.distance - 0.00612) < 1e-4 and abs(found.objects[0].metadata.certainty - 1) < 1e-5, found)
check("not beyond a distance", ids(made.query.near_vector([1.0, 0.0, 0.0], distance=0.5)) == [0, 1] and ids(made.query.near_vector([1.0, 0.0, 0.0], certainty=0.999)) == [0])
check("near an object", ids(made.query.near_object(uid(2), limit=2)) == [2, 1] or ids(made.query.near_object(uid(2), limit=2)) == [2, 3])
found = made.query.bm25("quiet matrix", return_metadata=MetadataQuery(score=True, explain_score=True))
check("by words, best first", set(ids(found)) == {0, 1} and found.objects[0].metadata.score >= found.objects[1].metadata.score > 0 and "word" in found.objects[0].metadata.explain_score, found)
check("words of a long text", ids(made.query.bm25("needle")) == [3])
check("hybrid: words alone", ids(made.query.hybrid("needle", alpha=0)) == [3])
check("hybrid: vectors alone", ids(made.query.hybrid("needle", vector=[1.0, 0.0, 0.0], alpha=1, limit=2)) == [0, 1])
for fusion in (None, HybridFusion.RANKED, HybridFusion.RELATIVE_SCORE):
    found = made.query.hybrid("needle", vector=[1.0, 0.0, 0.0], alpha=0.5, fusion_type=fusion, limit=3, return_metadata=MetadataQuery(score=True))
    check(f"hybrid: both, fused by {fusion}", set(ids(found)[:2]) == {0, 3} and found.objects[0].metadata.score >= found.objects[1].metadata.score > 0, found)
check("hybrid with a filter", ids(made.query.hybrid("needle", vector=[1.0, 0.0, 0.0], alpha=0.5, filters=Filter.by_property("genre").equal("horror"))) == [1])
raises("hybrid without a vector or a module", lambda: made.query.hybrid("needle"), "vector")
raises("near text without a module", lambda: made.query.near_text("needle"), "module")
raises("some properties only", lambda: made.query.bm25("matrix", query_properties=["title"]), "query_properties")
raises("groups", lambda: made.query.near_vector([1.0, 0.0, 0.0], group_by=GroupBy(prop="genre", objects_per_group=1, number_of_groups=2)), "group_by")
raises("an auto limit", lambda: made.query.near_vector([1.0, 0.0, 0.0], auto_limit=1), "auto_limit")
raises("too deep a page", lambda: made.query.fetch_objects(limit=10, offset=10_000), "10000")

# Counting, going through, deleting.
check("counted", made.aggregate.over_all(total_count=True).total_count == 4 and len(made) == 4)
check("counted by filter", made.aggregate.over_all(filters=Filter.by_property("year").greater_than(2000), total_count=True).total_count == 3)
groups = made.aggregate.over_all(group_by=GroupByAggregate(prop="genre")).groups
check("counted by value", {one.grouped_by.value: one.total_count for one in groups} == {"science fiction": 1, "horror": 1, "comedy": 1}, groups)
Metrics = weaviate.classes.aggregate.Metrics
told = made.aggregate.over_all(return_metrics=[
    Metrics("year").integer(count=True, maximum=True, mean=True, median=True, minimum=True, mode=True, sum_=True), Metrics("genre").text(count=True, top_occurrences_count=True, top_occurrences_value=True),
    Metrics("seen").boolean(count=True, percentage_true=True, total_true=True, total_false=True), Metrics("shot").date_(count=True, maximum=True, minimum=True)]).properties
year = told["year"]
check("aggregates of whole numbers", (year.count, year.maximum, year.mean, year.median, year.minimum, year.sum_) == (4, 2018, 2007.25, 2006.0, 1999, 8029) and year.mode in (1999, 2001, 2011, 2018), year)
check("of texts", told["genre"].count == 3 and sorted((one.value, one.count) for one in told["genre"].top_occurrences) == [("comedy", 1), ("horror", 1), ("science fiction", 1)], told["genre"])
check("of true and false", (told["seen"].count, told["seen"].total_true, told["seen"].total_false, told["seen"].percentage_true) == (2, 1, 1, 0.5), told["seen"])
check("of times", told["shot"].count == 2 and told["shot"].minimum.startswith("1999-03-31T10:30:00") and told["shot"].maximum.startswith("2000-01-01T00:00:00"), told["shot"])
told = made.aggregate.over_all(filters=Filter.by_property("year").greater_than(2000), return_metrics=Metrics("year").integer(mean=True, count=True)).properties["year"]
check("of what a filter lets through", (told.count, told.mean) == (3, 2010.0), told)
told = made.aggregate.over_all(filters=Filter.by_property("year").greater_than(3000), return_metrics=Metrics("year").integer(maximum=True, count=True), total_count=True)
check("of nothing", told.total_count == 0 and told.properties["year"].count in (0, None) and told.properties["year"].maximum is None, told)
groups = {one.grouped_by.value: one for one in made.aggregate.over_all(group_by=GroupByAggregate(prop="genre"), total_count=True, return_metrics=Metrics("year").integer(maximum=True)).groups}
check("by the values of another", {name: (one.total_count, one.properties["year"].maximum) for name, one in groups.items()} == {"science fiction": (1, 1999), "horror": (1, 2018), "comedy": (1, 2001)}, groups)
raises("aggregates of another type", lambda: made.aggregate.over_all(return_metrics=Metrics("title").integer(mean=True)), "title")
raises("of what is no property", lambda: made.aggregate.over_all(return_metrics=Metrics("nothing").integer(mean=True)), "nothing")
with made.batch.dynamic() as batch:
    for i in range(2500):
        batch.add_object({"title": f"film {i}", "year": 3000 + i}, uuid=uid(1000 + i), vector=[float(i), 1.0, 1.0])
check("a batch of many", made.batch.failed_objects == [] and made.aggregate.over_all(total_count=True).total_count == 2504, made.batch.failed_objects[:1])
with client.batch.fixed_size(100) as batch:
    batch.add_object(films, {"title": "from the client", "colour": "red", "length": 5, "ok": True, "parts": ["a"], "more": {"a": 1, "b": ["x"], "c": {"d": True}}}, uuid=uid(5000), vector=[1.0, 1.0, 1.0])
    batch.add_object(films, {"title": "with an id that is none"}, uuid=uid(5001), vector=[1.0, 1.0, 1.0, 1.0])
check("a batch over collections says what failed", len(client.batch.failed_objects) == 1 and "dimensions" in client.batch.failed_objects[0].message, client.batch.failed_objects)
got = made.query.fetch_object_by_id(uid(5000)).properties
check("properties nobody declared are added", got["colour"] == "red" and got["length"] == 5.0 and got["ok"] is True and got["parts"] == ["a"] and got["more"] == {"a": 1.0, "b": ["x"], "c": {"d": True}}, got)
seen = [one.uuid.int for one in made.iterator(cache_size=300)]
check("every object once, in order", len(seen) == 2505 and seen == sorted(set(seen)), len(seen))
check("delete by id", made.data.delete_by_id(uid(5000)) and not made.data.delete_by_id(uid(5000)))
tried = made.data.delete_many(Filter.by_property("year").greater_or_equal(3000), dry_run=True)
check("a dry run deletes nothing", tried.matches == 2500 and made.aggregate.over_all(total_count=True).total_count == 2504, tried)
gone = made.data.delete_many(Filter.by_property("year").greater_or_equal(3000))
check("delete by filter", gone.matches == 2500 and gone.successful == 2500 and gone.failed == 0 and made.aggregate.over_all(total_count=True).total_count == 4, gone)
gone = made.data.delete_many(Filter.by_id().contains_any([uid(3), uid(77)]), verbose=True)
check("delete by ids, naming them", [one.uuid.int - 1 for one in gone.objects] == [3] and made.query.fetch_object_by_id(uid(3)) is None, gone)

# Other metrics, the old schema, a vector by name.
for metric, distance in [(VectorDistances.DOT, -5.0), (VectorDistances.L2_SQUARED, 5.0)]:
    name = f"{prefix}{metric.name.title().replace('_', '')}"
    other = client.collections.create(name, vector_config=Configure.Vectors.self_provided(name="mine", vector_index_config=Configure.VectorIndex.flat(distance_metric=metric)))
    other.data.insert({"t": "a"}, uuid=uid(0), vector={"mine": [1.0, 2.0]})
    other.data.insert({"t": "b"}, uuid=uid(1), vector={"mine": [2.0, 4.0]})
    query = [1.0, 2.0]
    found = other.query.near_vector(query, target_vector="mine", return_metadata=MetadataQuery(distance=True), include_vector=True)
    by_id = {one.uuid.int - 1: one for one in found.objects}
    check(f"{metric.value}: distances as Weaviate's", abs(by_id[0 if distance < 0 else 1].metadata.distance - distance) < 1e-4 and by_id[1].vector["mine"] == [2.0, 4.0], found)
    raises(f"{metric.value}: an unknown vector's name", lambda: other.query.near_vector(query, target_vector="yours"), "yours")
    client.collections.delete(name)
plain = client.collections.create_from_dict({"class": f"{prefix}Plain", "properties": [{"name": "Text", "dataType": ["text"]}]})
plain.data.insert({"text": "no vector"}, uuid=uid(0))
check("objects without a vector are found by words", ids(plain.query.bm25("vector")) == [0] and plain.query.near_vector([1.0, 2.0]).objects == [])
plain.data.insert({"text": "a vector"}, uuid=uid(1), vector=[1.0, 2.0])
check("the first vector decides the length", ids(plain.query.near_vector([1.0, 2.0])) == [1] and set(ids(plain.query.bm25("vector"))) == {0, 1})
raises("of them all", lambda: plain.data.insert({"text": "x"}, vector=[1.0]), "dimensions")
client.collections.delete(f"{prefix}Plain")

# Tenants.
shops = client.collections.create(f"{prefix}Shops", multi_tenancy_config=Configure.multi_tenancy(enabled=True), vector_config=Configure.Vectors.self_provided())
shops.tenants.create([Tenant(name="north"), Tenant(name="south")])
check("tenants are listed", set(shops.tenants.get()) == {"north", "south"} and shops.tenants.exists("north") and not shops.tenants.exists("west") and set(shops.tenants.get_by_names(["north", "west"])) == {"north"})
shops.with_tenant("north").data.insert({"name": "tent"}, uuid=uid(0), vector=[1.0, 0.0])
check("a tenant's objects are its own", ids(shops.with_tenant("north").query.fetch_objects()) == [0] and ids(shops.with_tenant("south").query.fetch_objects()) == [] and len(shops.with_tenant("north")) == 1)
raises("an unknown tenant is not found", lambda: shops.with_tenant("west").data.insert({"name": "x"}, vector=[1.0, 0.0]), "west")
raises("a tenant must be named", lambda: shops.query.fetch_objects(), "tenant")
raises("and only where there are some", lambda: made.with_tenant("north").query.fetch_objects(), "multi-tenancy")
raises("a tenant does not sleep", lambda: shops.tenants.update([Tenant(name="north", activity_status=TenantActivityStatus.INACTIVE)]), "active")
shops.tenants.remove(["north"])
check("a tenant goes with its objects", set(shops.tenants.get()) == {"south"})
client.collections.delete(f"{prefix}Shops")

# Who made it decides.
with connect(other_key) as other:
    check("another user sees none of it", other.collections.list_all() == {} and not other.collections.exists(films))
    raises("nor searches it", lambda: other.collections.use(films).query.near_vector([1.0, 0.0, 0.0]), "could not find class")
    raises("nor adds to it", lambda: other.collections.use(films).data.insert({"title": "x"}, vector=[1.0, 0.0, 0.0]), "could not find class")
    raises("nor deletes from it", lambda: other.collections.use(films).data.delete_many(Filter.by_property("year").greater_than(0)), "could not find class")
check("and nothing was lost", len(made) == 3)
shared = client.collections.create_from_dict({"class": f"{prefix}Shared", "tenfoldReaders": "public"})
shared.data.insert({"text": "for everybody"}, uuid=uid(0), vector=[1.0, 2.0])
with connect(other_key) as other:
    theirs = other.collections.use(f"{prefix}Shared")
    check("until its schema lets him in", ids(theirs.query.near_vector([1.0, 2.0])) == [0] and ids(theirs.query.bm25("everybody")) == [0])
    raises("but he changes nothing", lambda: theirs.data.delete_many(Filter.by_id().equal(uid(0))), "owner")
    raises("nor adds", lambda: theirs.data.insert({"text": "x"}, vector=[1.0, 2.0]), "owner")
client.collections.delete(f"{prefix}Shared")

if model:
    docs = client.collections.create(f"{prefix}Docs", vector_config=Configure.Vectors.custom(module_name="text2vec-tenfold"), properties=[Property(name="body", data_type=DataType.TEXT)])
    docs.data.insert_many([DataObject(properties={"body": text}, uuid=uid(i)) for i, text in enumerate(["The tent keeps out the rain.", "A warm jacket for the winter.", "Boots for long walks."])])
    check("texts are found by meaning", ids(docs.query.near_text("something to wear on my feet", limit=1)) == [2])
    check("and by both", ids(docs.query.hybrid("footwear for walks", limit=1)) == [2])
    docs.data.update(uid(0), properties={"body": "Sandals and slippers."})
    check("what changes is embedded again", 0 in ids(docs.query.near_text("something to wear on my feet", limit=2)))
    client.collections.delete(f"{prefix}Docs")

if importlib.util.find_spec("langchain_weaviate"):
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_weaviate import WeaviateVectorStore

    class Letters(Embeddings):
        """How often each of three letters stands in a text: enough to tell which text is meant."""

        def embed_query(self, text):
            return [1.0 + text.count(letter) for letter in "xyz"]

        def embed_documents(self, texts):
            return [self.embed_query(text) for text in texts]

    store = WeaviateVectorStore(client=client, index_name="LangChainStore", text_key="text", embedding=Letters())
    added = store.add_documents([Document("xxxxxxxx", metadata={"n": 1}), Document("yyyyyyyy", metadata={"n": 2}), Document("zzzzzzzz", metadata={"n": 3})])
    check("LangChain: documents are added", len(added) == 3)
    found = store.similarity_search_with_score("yy", k=2)
    check("LangChain: the nearest with its text", found[0][0].page_content == "yyyyyyyy" and found[0][0].metadata["n"] == 2 and found[0][1] >= found[1][1], found)
    narrowed = store.similarity_search("yy", k=3, filters=Filter.by_property("n").not_equal(2.0))
    check("LangChain: a filter", len(narrowed) == 2 and all(one.metadata["n"] != 2 for one in narrowed), narrowed)
    check("LangChain: by a vector", store.similarity_search_by_vector([1.0, 1.0, 9.0], k=1)[0].page_content == "zzzzzzzz")
    check("LangChain: maximal marginal relevance", len(store.max_marginal_relevance_search("yy", k=2, fetch_k=3)) == 2)
    check("LangChain: as a retriever", store.as_retriever(search_kwargs={"k": 1}).invoke("zz")[0].page_content == "zzzzzzzz")
    check("LangChain: as a retriever above a score", all(isinstance(one, Document) for one in store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"k": 3, "score_threshold": 0.5}).invoke("zz")))
    store.delete([added[1]])
    check("LangChain: what is deleted is gone", all(one.page_content != "yyyyyyyy" for one in store.similarity_search("yy", k=3)))
    tenants = WeaviateVectorStore(client=client, index_name="LangChainTenants", text_key="text", embedding=Letters(), use_multi_tenancy=True)
    tenants.add_documents([Document("xxxx")], tenant="a")
    check("LangChain: tenants", [one.page_content for one in tenants.similarity_search("x", k=3, tenant="a")] == ["xxxx"])
    for name in ("LangChainStore", "LangChainTenants"):
        client.collections.delete(name)

if importlib.util.find_spec("llama_index"):
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import MockEmbedding
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores import ExactMatchFilter, FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
    from llama_index.core.vector_stores.types import VectorStoreQueryMode
    from llama_index.vector_stores.weaviate import WeaviateVectorStore

    store = WeaviateVectorStore(weaviate_client=client, index_name="LlamaIndexStore")
    source = lambda ref: {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=ref)}
    nodes = [TextNode(id_=str(uid(1)), text="tents", embedding=[1.0, 0.0, 0.0], metadata={"kind": "a", "n": 1}, relationships=source("doc1")), TextNode(id_=str(uid(2)), text="boots", embedding=[0.0, 1.0, 0.0], metadata={"kind": "b", "n": 2}, relationships=source("doc2"))]
    check("LlamaIndex: nodes are added", store.add(nodes) == [str(uid(1)), str(uid(2))])
    ask = lambda **more: store.query(VectorStoreQuery(query_embedding=[0.0, 1.0, 0.0], similarity_top_k=2, **more))
    found = ask()
    check("LlamaIndex: the nearest node with its text", found.nodes[0].get_content() == "boots" and found.nodes[0].metadata["kind"] == "b" and found.similarities[0] > found.similarities[1], found)
    check("LlamaIndex: a filter", [one.get_content() for one in ask(filters=MetadataFilters(filters=[ExactMatchFilter(key="kind", value="a")])).nodes] == ["tents"])
    check("LlamaIndex: a range", [one.get_content() for one in ask(filters=MetadataFilters(filters=[MetadataFilter(key="n", value=1, operator=FilterOperator.GT)])).nodes] == ["boots"])
    check("LlamaIndex: only some nodes", [one.get_content() for one in ask(node_ids=[str(uid(1))]).nodes] == ["tents"])
    check("LlamaIndex: hybrid", ask(mode=VectorStoreQueryMode.HYBRID, query_str="tents", alpha=0.1).nodes[0].get_content() == "tents")
    retriever = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(embed_dim=3)).as_retriever(similarity_top_k=2)
    check("LlamaIndex: as a retriever", {one.node.get_content() for one in retriever.retrieve("anything")} == {"tents", "boots"})
    store.delete("doc2")
    check("LlamaIndex: a document is deleted", [one.get_content() for one in ask().nodes] == ["tents"])
    store.delete_nodes([str(uid(1))])
    check("LlamaIndex: a node is deleted", ask().nodes == [])
    store.clear()
    check("LlamaIndex: the index is cleared", not client.collections.exists("LlamaIndexStore"))

client.collections.delete(films)
check("nothing is left", client.collections.list_all() == {})
client.close()
checks.finish()
