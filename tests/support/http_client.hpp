// HTTP by hand over a raw socket, so that a test can also say what no library would. Every wait ends after 30 s, by
// an exception. Used by the tests of the web process.
#pragma once

#include <map>
#include <string>

#include "base/fd.hpp"

namespace bulkhead::test {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;
};

class HttpClient {
 public:
  explicit HttpClient(const std::string& address);  // "127.0.0.1:41233" or "[::1]:41233"

  // False: the server has closed.
  bool send(const std::string& bytes);
  HttpAnswer receive();
  // What comes until the server closes, a reset included.
  std::string read_to_the_end();
  int fd() const { return fd_.get(); }

 private:
  bool read_more();
  base::UniqueFd fd_;
  std::string buffer_;
};

std::string get(const std::string& path, const std::string& host, const std::string& more = "");
// One connection, one request, one answer; `host` is the address when it is empty.
HttpAnswer fetch(const std::string& address, const std::string& path, const std::string& host = "");

}  // namespace bulkhead::test
