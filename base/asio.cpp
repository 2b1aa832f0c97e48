// Asio, compiled separately so that every other source stays cheap to build.
#include <boost/asio/impl/src.hpp>
