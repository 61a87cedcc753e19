// The bodies of Boost.Asio and Beast, compiled once (BOOST_ASIO_SEPARATE_COMPILATION), so that other files stay quick to build.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
