// Beast, compiled separately so that sources which speak HTTP or WebSocket stay cheap to build.
#include <boost/beast/src.hpp>
