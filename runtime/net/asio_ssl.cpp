// Asio's TLS streams over OpenSSL, compiled separately.
#include <boost/asio/ssl/impl/src.hpp>
