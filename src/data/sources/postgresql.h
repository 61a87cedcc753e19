#pragma once
/// \file The `postgresql:` source: rows of a table or a query as documents.
#include "data/source.h"

namespace tenfold::data {

/// `rest`: "//user@host:port/database?table=articles&id=id&text=body&title=title&updated=updated_at&access=labels&metadata=a,b" or with `query=SELECT …` for
/// `table=`. The password is secret("PGPASSWORD"). Always listed whole, by the order of `id`, in read-only transactions, `page` rows each. Fingerprint:
/// `updated` as text where it is given and not null, else SHA-256 of text, title, link and metadata, made by the server. Errors when opened: kInvalidArgument
/// naming the part of the URL. Cost: a page is one statement over an index of `id`; without `updated` the server reads and hashes every text once a listing.
std::unique_ptr<Source> OpenPostgresqlSource(std::string_view rest, const SourceSetup& setup);

}  // namespace tenfold::data
