#pragma once
/// \file The `mongodb:` source: documents of a collection as documents.
#include "data/source.h"

namespace tenfold::data {

/// `rest`: "//user@host:port,host2/database.collection?id=_id&text=body&title=title&updated=changed_at&access=labels&metadata=a,b"; names may lead into
/// sub-documents ("author.name"). Also tls=, authSource=, authMechanism=, replicaSet=, readPreference= as in MongoDB's own connection strings. A host that is
/// not this machine is reached over verified TLS unless tls=false. The password is secret("MONGODB_PASSWORD"). Always listed whole, by the order of `id`.
/// Fingerprint: `updated` where it is there, else SHA-256 of what the document says. A collection that is not there, or is another one at the end of a listing
/// than at its beginning, is an error, never an empty listing. Cost: without `updated` every text is read once a listing. A page holds at most 48 MiB.
std::unique_ptr<Source> OpenMongodbSource(std::string_view rest, const SourceSetup& setup);
/// The same with hosts from DNS, as "mongodb+srv:".
std::unique_ptr<Source> OpenMongodbSrvSource(std::string_view rest, const SourceSetup& setup);

}  // namespace tenfold::data
