#include "tests/unit/runtime/net/test_certificate.h"

#include <memory>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"

namespace sable::test {

namespace {

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* value) const { Free(value); }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, ::EVP_PKEY_free>>;
using X509Handle = std::unique_ptr<X509, Freer<X509, ::X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO, ::BIO_free_all>>;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

void extend(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  ::X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  SABLE_CHECK(extension != nullptr);
  SABLE_CHECK(::X509_add_ext(certificate, extension, -1) == 1);
  ::X509_EXTENSION_free(extension);
}

/// Self-signed when `authority` is null.
Certificate make(const std::string& common_name, const Certificate* authority,
                 const std::string& subject_name, int days) {
  Key key(::EVP_EC_gen("P-256"));
  SABLE_CHECK(key != nullptr);
  X509Handle certificate(::X509_new());
  ::X509_set_version(certificate.get(), 2);
  static long serial = 1;
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate.get()), serial++);
  constexpr long kDay = 24L * 3600;
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate.get()), -30 * kDay);
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate.get()), days * kDay);
  ::X509_set_pubkey(certificate.get(), key.get());
  ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                               0);
  X509Handle issuer;
  Key issuer_key;
  if (authority != nullptr) {
    Bio pem(::BIO_new_mem_buf(authority->certificate_pem.data(),
                              static_cast<int>(authority->certificate_pem.size())));
    issuer.reset(::PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
    Bio key_pem(
        ::BIO_new_mem_buf(authority->key_pem.data(), static_cast<int>(authority->key_pem.size())));
    issuer_key.reset(::PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr));
    SABLE_CHECK(issuer != nullptr && issuer_key != nullptr);
  }
  X509* const signer = issuer ? issuer.get() : certificate.get();
  ::X509_set_issuer_name(certificate.get(), ::X509_get_subject_name(signer));
  if (issuer) {
    extend(certificate.get(), signer, NID_subject_alt_name, subject_name);
  } else {
    extend(certificate.get(), signer, NID_basic_constraints, "critical,CA:TRUE");
    extend(certificate.get(), signer, NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  SABLE_CHECK(::X509_sign(certificate.get(), issuer_key ? issuer_key.get() : key.get(),
                          ::EVP_sha256()) > 0);

  Bio certificate_pem(::BIO_new(::BIO_s_mem()));
  Bio key_pem(::BIO_new(::BIO_s_mem()));
  SABLE_CHECK(::PEM_write_bio_X509(certificate_pem.get(), certificate.get()) == 1);
  SABLE_CHECK(::PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                         nullptr) == 1);
  return {text_of(certificate_pem.get()), text_of(key_pem.get())};
}

}  // namespace

Certificate make_authority() { return make("Sable test authority", nullptr, "", 1); }

Certificate make_certificate(const Certificate& authority, const std::string& subject_name,
                             int days) {
  return make("Sable test server", &authority, subject_name, days);
}

}  // namespace sable::test
