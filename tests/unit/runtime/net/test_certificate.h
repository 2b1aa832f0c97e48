// Certificates made on the spot, signed by an authority that only the test trusts.
#pragma once

#include <string>

namespace sable::test {

struct Certificate {
  std::string certificate_pem;
  std::string key_pem;
};

/// A fresh authority that may sign others.
Certificate make_authority();

/// For `subject_name`, "DNS:localhost" or "IP:127.0.0.1" in OpenSSL's spelling, signed by
/// `authority`; valid for `days` from now, already expired when negative.
Certificate make_certificate(const Certificate& authority, const std::string& subject_name,
                             int days = 1);

}  // namespace sable::test
