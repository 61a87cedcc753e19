// Any bytes as a token: refused as kUnauthenticated or, if this key signed them, accepted; never anything else.
#include <cstdlib>

#include "base/error.h"
#include "security/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenfold;
  static const auto signer = security::TokenSigner::Generate();
  const security::TokenCheck check{"tenfold", "api", TimePoint(std::chrono::seconds(1'700'000'000))};
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto must_refuse = [&](std::string_view token) {
    try {
      signer.Verify(token, check);
      std::abort();
    } catch (const Error& e) {
      if (e.code() != Code::kUnauthenticated) std::abort();
    }
  };
  must_refuse(bytes);
  // A good header and signature place in front let the fuzzer reach what lies behind them.
  const auto token = signer.Sign({{"exp", 1}});
  must_refuse(token.substr(0, token.find('.') + 1).append(bytes).append(token.substr(token.rfind('.'))));
  return 0;
}
