#pragma once
/// \file The `openapi:` source: the items of any list endpoint that an OpenAPI document describes.
#include "data/source.h"

namespace tenfold::data {

/// `https://host/openapi.json#path=/items&…` (OpenAPI 3.x or Swagger 2.0, as JSON). Options:
///   path=/items (needed; parameters of the path written out)      server=URL (else the document's own; must then be of the document's host)
///   items=data.items (where the list is in an answer; else the answer itself, or its only list)      id=id      query=k=v,k=v (fixed parameters)
///   title= text= link= updated= (fields, dotted) or template="# {name}\n\n{body}"; without text and template, all fields as a list
///   paging=auto|none|link|cursor|offset|page with page_param=, next= (field of the next cursor or URL), limit_param=, limit=100. auto reads the endpoint's
///   parameters: a cursor, page or offset among them, else a Link header or a next URL in the answer.
/// Token: $OPENAPI_TOKEN, sent as Bearer to the document's host (or `server`, which the operator named) alone.
/// Fingerprint: a hash of the document as rendered. Read takes what was listed last, else lists again until it comes: these endpoints need no way to ask for
/// one item. Access: not said (empty). No cursor: always listed whole. Errors: an item without an id fails the listing, and so does a list that repeats itself.
std::unique_ptr<Source> OpenOpenapiSource(std::string_view url, const SourceSetup& setup);

}  // namespace tenfold::data
