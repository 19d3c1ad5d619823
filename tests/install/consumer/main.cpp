// A message from one end of a pair to the other, through nothing but the installed package.
#include <bulkhead/channel.hpp>

int main() {
  auto pair = bulkhead::connected_pair(bulkhead::Transport::unix_socket);
  const std::byte hello[] = {std::byte{42}};
  if (!pair || !pair->first.send(hello, bulkhead::Deadline::never())) return 1;
  auto message = pair->second.receive();
  return message && message->bytes()[0] == std::byte{42} ? 0 : 1;
}
