#pragma once
/// \file The `s3:` source: objects of a bucket, by ETag.
#include "data/s3_client.h"
#include "data/source.h"

namespace tenfold::data {

/// `rest`: "bucket/folder?region=eu-west-1" on AWS or $AWS_ENDPOINT_URL, or "http://127.0.0.1:9000/bucket/folder?region=…" elsewhere. Also style=path|virtual
/// (else virtual on AWS, path elsewhere), access=metadata|tags (labels from each object's metadata or tag "tenfold-access", one more request an object),
/// page=1..1000. Region: also $AWS_REGION, else us-east-1. Credentials: $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY and $AWS_SESSION_TOKEN; without them
/// requests are not signed. Always listed whole. Paths are keys below the folder; keys with a hidden part, of folders, or with an ending this build cannot
/// parse are left out; archived and too large ones have a `problem`.
std::unique_ptr<Source> OpenS3Source(std::string_view rest, const SourceSetup& setup);

struct S3Url {
  S3Place place;
  std::string prefix;  ///< empty or ending in '/'
  std::string access;  ///< "", "metadata" or "tags"
  int page = 1000;
};
/// Errors: kInvalidArgument.
S3Url ParseS3Url(std::string_view rest, const SourceSetup& setup);
S3Credentials S3CredentialsOf(const SourceSetup& setup);

}  // namespace tenfold::data
