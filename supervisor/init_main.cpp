// bulkhead-init: the first process of a contained worker's pid namespace. It is started and killed by the brain,
// starts nothing, and takes in what loses its parent there; with its death the kernel kills everybody in the
// namespace (pid_namespaces(7), docs/design/pid-namespace.md).
#include <signal.h>
#include <unistd.h>

int main() {
  // Who is left to it is gone as soon as it is dead: nobody waits for it (wait(2)).
  ::signal(SIGCHLD, SIG_IGN);
  for (;;) ::pause();
}
