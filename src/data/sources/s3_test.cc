#include "data/sources/s3.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/http_server.h"
#include "base/testing.h"
#include "data/sources/database_servers.h"

namespace tenfold::data {
namespace {

using namespace std::chrono_literals;

SourceSetup SetupWith(std::map<std::string, std::string> secrets) {
  SourceSetup setup;
  setup.haste = 50;
  setup.secret = [secrets = std::move(secrets)](std::string_view name) {
    const auto found = secrets.find(std::string(name));
    return found == secrets.end() ? std::string() : found->second;
  };
  return setup;
}
SourceSetup TesterSetup(std::string secret = "versity-secret") {
  return SetupWith({{"AWS_ACCESS_KEY_ID", "tester"}, {"AWS_SECRET_ACCESS_KEY", std::move(secret)}});
}
S3Client ClientAt(std::uint16_t port, const std::string& bucket, std::string secret = "versity-secret") {
  return S3Client({"http://127.0.0.1:" + std::to_string(port), bucket, "us-east-1", S3Place::Style::kPath}, {"tester", std::move(secret), ""});
}
std::string NewBucket() {
  static int count = 0;
  return "bucket-" + std::to_string(++count);
}

class S3Fixture : public ProxiedFixture {
 public:
  explicit S3Fixture(std::uint16_t port) : ProxiedFixture(port), admin_(ClientAt(port, bucket_)) { admin_.Put(ctx_, "", ""); }
  std::string Put(const std::string& name, const std::string& text) override {
    texts_[name] = text;
    admin_.Put(ctx_, "docs/" + name + ".md", text, {{"tenfold-access", "public"}});
    return name + ".md";
  }
  void Remove(const std::string& name) override { admin_.Delete(ctx_, "docs/" + name + ".md"); }
  bool ChangeAccess(const std::string& name) override {
    admin_.Put(ctx_, "docs/" + name + ".md", texts_.at(name), {{"tenfold-access", "staff"}});
    return true;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    for (const auto& rest : {"http://" + address() + "/" + bucket_ + "/docs/?page=7&region=us-east-1&access=metadata",
                             "http://" + address() + "/" + bucket_ + "/d%6Fcs//?access=metadata&style=path"})
      out.push_back(OpenS3Source(rest, TesterSetup()));
    auto setup = SetupWith({{"AWS_ENDPOINT_URL", "http://" + address()}, {"AWS_ACCESS_KEY_ID", "tester"}, {"AWS_SECRET_ACCESS_KEY", secret()}});
    out.push_back(OpenS3Source(bucket_ + "/docs?access=metadata", setup));
    return out;
  }
  std::string secret() const override { return "versity-secret"; }

 protected:
  std::unique_ptr<Source> OpenDirectly() override {
    return OpenS3Source("http://" + address() + "/" + bucket_ + "/docs?page=3&access=metadata", TesterSetup());
  }

 private:
  const Context ctx_ = Context::System("test").WithTimeout(60s);
  const std::string bucket_ = NewBucket();
  const S3Client admin_;
  std::map<std::string, std::string> texts_;
};

TimePoint At(std::int64_t seconds) { return TimePoint(std::chrono::seconds(seconds)); }
std::string SignatureOf(const std::map<std::string, std::string>& headers) {
  const auto& text = headers.at("authorization");
  return text.substr(text.rfind('=') + 1);
}

// AWS's published examples: "Signature Version 4 signing process test suite" (service "service") and "Signature calculations: examples" of S3's API reference.
TEST(SigV4, GivesTheSignaturesThatAwsPublishes) {
  const S3Credentials suite{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
  const auto suite_time = At(1'440'938'160);  // 20150830T123600Z
  const SigV4Request vanilla{"GET", "example.amazonaws.com", "/", {}, {}, Sha256Hex("")};
  EXPECT_EQ(SignV4(vanilla, suite, "us-east-1", "service", suite_time).at("authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
  auto ordered = vanilla;
  ordered.query = {{"Param2", "value2"}, {"Param1", "value1"}};
  EXPECT_EQ(SignatureOf(SignV4(ordered, suite, "us-east-1", "service", suite_time)), "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
  auto trimmed = vanilla;
  trimmed.headers = {{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}};
  EXPECT_EQ(SignatureOf(SignV4(trimmed, suite, "us-east-1", "service", suite_time)), "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
  auto post = vanilla;
  post.method = "POST";
  EXPECT_EQ(SignatureOf(SignV4(post, suite, "us-east-1", "service", suite_time)), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");

  const S3Credentials s3{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
  const auto s3_time = At(1'369'353'600);  // 20130524T000000Z
  SigV4Request get{"GET", "examplebucket.s3.amazonaws.com", "/test.txt", {}, {{"range", "bytes=0-9"}, {"x-amz-content-sha256", Sha256Hex("")}}, Sha256Hex("")};
  EXPECT_EQ(SignatureOf(SignV4(get, s3, "us-east-1", "s3", s3_time)), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  const auto welcome = Sha256Hex("Welcome to Amazon S3.");
  const SigV4Request put{"PUT",
                         "examplebucket.s3.amazonaws.com",
                         "/test$file.text",
                         {},
                         {{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-content-sha256", welcome}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                         welcome};
  EXPECT_EQ(SignatureOf(SignV4(put, s3, "us-east-1", "s3", s3_time)), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  const SigV4Request lifecycle{"GET", "examplebucket.s3.amazonaws.com", "/", {{"lifecycle", ""}}, {{"x-amz-content-sha256", Sha256Hex("")}}, Sha256Hex("")};
  EXPECT_EQ(SignatureOf(SignV4(lifecycle, s3, "us-east-1", "s3", s3_time)), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  const SigV4Request list{"GET",        "examplebucket.s3.amazonaws.com", "/", {{"max-keys", "2"}, {"prefix", "J"}}, {{"x-amz-content-sha256", Sha256Hex("")}},
                          Sha256Hex("")};
  EXPECT_EQ(SignatureOf(SignV4(list, s3, "us-east-1", "s3", s3_time)), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  EXPECT_EQ(SignV4(list, {"a", "b", "session"}, "us-east-1", "s3", s3_time).at("x-amz-security-token"), "session");
}

TEST(S3Url, IsReadAndCheckedWithoutAServer) {
  const auto url_of = [](std::string_view rest, const SourceSetup& setup = {}) {
    const auto at = ParseS3Url(rest, setup);
    return S3Client(at.place, {}).UrlOf(at.prefix + "a b.md");
  };
  EXPECT_EQ(url_of("bucket/docs"), "https://bucket.s3.us-east-1.amazonaws.com/docs/a%20b.md");
  EXPECT_EQ(url_of("bucket?region=eu-west-1&style=path"), "https://s3.eu-west-1.amazonaws.com/bucket/a%20b.md");
  EXPECT_EQ(url_of("my.bucket"), "https://s3.us-east-1.amazonaws.com/my.bucket/a%20b.md");
  EXPECT_EQ(url_of("bucket", SetupWith({{"AWS_REGION", "cn-north-1"}})), "https://bucket.s3.cn-north-1.amazonaws.com.cn/a%20b.md");
  EXPECT_EQ(url_of("https://store.example.com:443/bucket?style=virtual"), "https://bucket.store.example.com/a%20b.md");
  EXPECT_EQ(url_of("bucket", SetupWith({{"AWS_ENDPOINT_URL", "http://minio:9000/"}})), "http://minio:9000/bucket/a%20b.md");
  for (const auto* bad : {"", "/bucket", "a", "bucket?nonsense=1", "bucket?region=a/b", "bucket?style=x", "bucket?page=0", "bucket?page=2000",
                          "bucket?access=acl", "bucket?region=a&region=b", "http://user:secret@host/bucket", "http://host", "buc..ket", "buc%2Fket%00"})
    EXPECT_EQ(CodeOf([&] { OpenS3Source(bad, {}); }), Code::kInvalidArgument) << bad;
}

class S3ServerTest : public testing::TestWithParam<std::uint16_t (*)()> {
 protected:
  void SetUp() override {
    port_ = GetParam()();
    if (port_ == 0) GTEST_SKIP() << "the server cannot be had here";
    client_.emplace(ClientAt(port_, bucket_));
    client_->Put(ctx_, "", "");
  }
  std::unique_ptr<Source> Open(const std::string& rest, const SourceSetup& setup = TesterSetup()) {
    return OpenS3Source("http://127.0.0.1:" + std::to_string(port_) + "/" + rest, setup);
  }
  const Context ctx_ = Context::System("test").WithTimeout(30s);
  const std::string bucket_ = NewBucket();
  std::uint16_t port_ = 0;
  std::optional<S3Client> client_;
};

TEST_P(S3ServerTest, KeepsBytesUnderAnyKey) {
  for (const std::string& key : std::vector<std::string>{"plain.md", "with blank+plus.md", "ä/ö&=?#%25.md", "quote'\"<>.md", "deep/er/x.md"}) {
    client_->Put(ctx_, key, "bytes of " + key);
    EXPECT_EQ(client_->Get(ctx_, key, 1000), "bytes of " + key);
  }
  const auto source = Open(bucket_);
  const auto items = ListAll(ctx_, *source);
  ASSERT_EQ(items.size(), 5u);
  for (const auto& item : items) EXPECT_EQ(source->Read(ctx_, item).bytes, "bytes of " + item.path);
  EXPECT_EQ(client_->GetRange(ctx_, "plain.md", 6, 2), "of");
  EXPECT_EQ(client_->GetRange(ctx_, "plain.md", 14, 100), ".md");
  EXPECT_EQ(client_->GetRange(ctx_, "plain.md", 100, 2), "");
  EXPECT_EQ(client_->Head(ctx_, "plain.md")->size, 17u);
  EXPECT_EQ(client_->Head(ctx_, "none.md"), std::nullopt);
  client_->Delete(ctx_, "none.md");
}

TEST_P(S3ServerTest, LeavesOutWhatIsNoDocumentAndSaysWhatIsTooLarge) {
  for (const auto* key : {"docs/a.md", "docs/.hidden.md", "docs/.git/b.md", "docs/c.exe", "docs2/d.md", "e.md"}) client_->Put(ctx_, key, "x");
  client_->Put(ctx_, "docs/large.txt", std::string((32u << 20) + 1, 'x'));
  const auto source = Open(bucket_ + "/docs");
  const auto items = ListAll(ctx_, *source);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].path, "a.md");
  EXPECT_EQ(items[1].path, "large.txt");
  EXPECT_NE(items[1].problem, "");
  EXPECT_EQ(CodeOf([&] { source->Read(ctx_, items[1]); }), Code::kResourceExhausted);
}

TEST_P(S3ServerTest, TellsWhatIsWrongByCode) {
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *Open("no-such-bucket")); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { client_->Get(ctx_, "none.md", 10); }), Code::kNotFound);
  client_->Put(ctx_, "a.md", "x");
  EXPECT_EQ(ListAll(ctx_, *Open(bucket_ + "/no/such/folder")).size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Moto, S3ServerTest, testing::Values(StartMoto));
INSTANTIATE_TEST_SUITE_P(Versity, S3ServerTest, testing::Values(StartVersity));

TEST(S3, LabelsComeFromTagsToo) {
  const auto port = StartMoto();
  if (port == 0) GTEST_SKIP() << "moto cannot be had here";
  const auto ctx = Context::System("test").WithTimeout(30s);
  const auto bucket = NewBucket();
  const auto client = ClientAt(port, bucket);
  client.Put(ctx, "", "");
  client.Put(ctx, "a.md", "x");
  client.PutTags(ctx, "a.md", {{"tenfold-access", "group:hr staff"}});
  client.Put(ctx, "b.md", "x");
  const auto items = ListAll(ctx, *OpenS3Source("http://127.0.0.1:" + std::to_string(port) + "/" + bucket + "?access=tags", TesterSetup()));
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].access, "group:hr,staff");
  EXPECT_EQ(items[1].access, "");
}

TEST(S3, AServerThatChecksSignaturesRefusesWrongKeys) {
  const auto port = StartVersity();
  if (port == 0) GTEST_SKIP() << "versitygw cannot be had here";
  const auto ctx = Context::System("test").WithTimeout(30s);
  const auto bucket = NewBucket();
  ClientAt(port, bucket).Put(ctx, "", "");
  const auto list = [&](const SourceSetup& setup) {
    return CodeOf([&] { ListAll(ctx, *OpenS3Source("http://127.0.0.1:" + std::to_string(port) + "/" + bucket, setup)); });
  };
  EXPECT_EQ(list(TesterSetup("wrong")), Code::kUnauthenticated);
  EXPECT_EQ(list(SetupWith({{"AWS_ACCESS_KEY_ID", "nobody"}, {"AWS_SECRET_ACCESS_KEY", "x"}})), Code::kUnauthenticated);
  EXPECT_EQ(list({}), Code::kPermissionDenied);
}

/// What the real servers here never answer: a service that is busy, credentials that have run out, a listing that is cut short.
TEST(S3, WaitsWhenAskedToAndTakesNoBrokenListingForAWhole) {
  std::atomic<int> busy = 0, asked = 0;
  int status = 200;
  std::string answer;
  const std::vector<Endpoint> rows{{"GET", "/bucket", Access::kPublic, 10s, "", [&](const Context&, const HttpRequest&) {
                                      HttpResponse response;
                                      response.content_type = "application/xml";
                                      ++asked;
                                      if (busy > 0) {
                                        --busy;
                                        response.status = 503;
                                        response.body = "<Error><Code>SlowDown</Code></Error>";
                                      } else {
                                        response.status = status;
                                        response.body = answer;
                                      }
                                      return response;
                                    }}};
  Metrics metrics;
  HttpServer server(HttpServerOptions{}, Router(rows), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics, SystemClock());
  const auto ctx = Context::System("test").WithTimeout(20s);
  auto patient = TesterSetup();
  patient.haste = 1;  // the pauses are what this is about
  const auto source = OpenS3Source("http://127.0.0.1:" + std::to_string(server.port()) + "/bucket", patient);
  const auto list = [&](int with, const std::string& text) {
    status = with;
    answer = text;
    return CodeOf([&] { ListAll(ctx, *source); });
  };
  const std::string head = "<ListBucketResult><Contents><Key>a.md</Key><ETag>\"e\"</ETag><Size>1</Size></Contents>";
  answer = head + "<IsTruncated>false</IsTruncated></ListBucketResult>";
  busy = 2;
  EXPECT_EQ(ListAll(ctx, *source).size(), 1u);
  EXPECT_EQ(asked, 3);
  busy = 1000;
  EXPECT_EQ(CodeOf([&] { ListAll(ctx.WithTimeout(300ms), *source); }), Code::kDeadlineExceeded);
  busy = 0;
  for (const auto* code : {"ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
    EXPECT_EQ(list(403, "<Error><Code>" + std::string(code) + "</Code></Error>"), Code::kUnauthenticated) << code;
  EXPECT_EQ(list(403, "<Error><Code>AccessDenied</Code></Error>"), Code::kPermissionDenied);
  EXPECT_EQ(list(403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"), Code::kFailedPrecondition);
  EXPECT_EQ(list(404, "<Error><Code>NoSuchBucket</Code></Error>"), Code::kNotFound);
  EXPECT_EQ(list(301, "<Error><Code>PermanentRedirect</Code></Error>"), Code::kInvalidArgument);
  EXPECT_EQ(list(200, "<Error><Code>AccessDenied</Code></Error>"), Code::kPermissionDenied);
  for (const std::string& broken : {std::string(), std::string("<html>maintenance</html>"), head, head + "</ListBucketResult>",
                                    head + "<IsTruncated>true</IsTruncated></ListBucketResult>", head + "<IsTruncated>false</IsTruncated>",
                                    std::string("<ListBucketResult><Contents><Key>a.md</Key></Contents><IsTruncated>false</IsTruncated></ListBucketResult>"),
                                    head + "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"})
    EXPECT_EQ(list(200, broken), Code::kUnavailable) << broken;
}

}  // namespace

std::unique_ptr<SourceFixture> MakeMotoFixture() {
  const auto port = StartMoto();
  return port ? std::make_unique<S3Fixture>(port) : nullptr;
}
std::unique_ptr<SourceFixture> MakeVersityFixture() {
  const auto port = StartVersity();
  return port ? std::make_unique<S3Fixture>(port) : nullptr;
}

}  // namespace tenfold::data
