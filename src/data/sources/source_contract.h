#pragma once
/// \file For tests only: what the contract test asks of a back end of Source, and how a fixture starts a real server for it.
/// A new back end writes one SourceFixture in its own test file, declares its Make…Fixture() below and adds one line to the list in source_contract_test.cc.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/servers_testing.h"
#include "data/source.h"

namespace tenfold::data {

/// One place of documents that the test may change behind the source's back. Made anew for every test; what is there already stays there (an index page, a
/// schema). Names are [a-z0-9-]+; a text is a few lines of plain words. Each call has taken effect when it returns. Threads: one at a time.
class SourceFixture {
 public:
  virtual ~SourceFixture() = default;
  /// As after a restart of the program. Every call gives the same place.
  virtual std::unique_ptr<Source> Open() = 0;
  /// Adds or replaces a document. Returns the path it is listed under.
  virtual std::string Put(const std::string& name, const std::string& text) = 0;
  virtual void Remove(const std::string& name) = 0;
  /// From now on others may read it: its `access` is not what it was, its bytes are. False if this kind of source does not say who may read.
  virtual bool ChangeAccess(const std::string& name) = 0;
  /// From now on every listing must fail (the server is down, answers with errors, the folder is away), until Mend().
  virtual void Break() = 0;
  virtual void Mend() = 0;
  /// The server takes connections but never answers, until Mend(). False if this kind of source has no server.
  virtual bool Stall() { return false; }
  /// Lets a listing of many documents fail after its first page; false if listings have one page only.
  virtual bool BreakAfterFirstPage() { return false; }
  /// Other ways to write the same place, each opened with the same setup.
  virtual std::vector<std::unique_ptr<Source>> OpenOtherSpellings() { return {}; }
  /// What must stand in no URL, path, link, or message: the password or token in use. Empty if there is none.
  virtual std::string secret() const { return {}; }
  /// How many documents make more than one page (set the server's or the source's page size low); 0 if listings have one page only.
  virtual std::size_t more_than_a_page() const { return 0; }
  /// Whether a listing of changes names what was removed. If not, the source must end its cursors by kFailedPrecondition or give none.
  virtual bool changes_name_removed() const { return true; }
  /// False if what is there never changes (a message): then Put() of a name that is there takes that document away and adds another, under another path.
  virtual bool documents_change() const { return true; }
};

// Each in the test file of its back end. Null if its server cannot be had here.
std::unique_ptr<SourceFixture> MakeFolderFixture();      // folder_test.cc
std::unique_ptr<SourceFixture> MakePostgresqlFixture();  // postgresql_test.cc
std::unique_ptr<SourceFixture> MakeMongodbFixture();     // mongodb_test.cc
std::unique_ptr<SourceFixture> MakeMotoFixture();        // s3_test.cc
std::unique_ptr<SourceFixture> MakeVersityFixture();     // s3_test.cc
std::unique_ptr<SourceFixture> MakeImapFixture();        // imap_test.cc
std::unique_ptr<SourceFixture> MakeWebFixture();         // web_test.cc
std::unique_ptr<SourceFixture> MakeGithubFixture();      // github_test.cc
std::unique_ptr<SourceFixture> MakeGithubIssuesFixture();  // github_test.cc
std::unique_ptr<SourceFixture> MakeNotionFixture();      // notion_test.cc
std::unique_ptr<SourceFixture> MakeOpenapiFixture();     // openapi_test.cc

}  // namespace tenfold::data
