#pragma once
/// \file The `github:` source: the files of a repository, or its issues and pull requests, through GitHub's REST API.
#include "data/source.h"

namespace tenfold::data {

/// `owner/repo`, then `@ref` (a branch, tag or commit; a slash in it is %2F), then `/folder`; or `owner/repo#issues` for issues and pull requests with their
/// comments. `https://github.com/owner/repo` is the same; `https://host/api/v3/owner/repo` is a server of one's own. Token: $GITHUB_TOKEN; without one, 60
/// requests an hour. Files: fingerprint is the blob's hash; a page token names the tree it began with, so a push in mid-listing changes nothing. Links and
/// submodules are left out. Access: what a public repository holds does not say (empty); what a private or internal one holds has the label
/// "github:owner/repo", in lower case. Issues: options state=all (default), open or closed, and whole_every=0 minutes: above 0 a cursor lists changes since
/// (GitHub's `since`), and is too old after that many minutes, because deleted and transferred issues show only in a whole listing. Source: GitHub REST API,
/// version 2022-11-28.
std::unique_ptr<Source> OpenGithubSource(std::string_view url, const SourceSetup& setup);

}  // namespace tenfold::data
