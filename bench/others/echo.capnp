# One call of bytes: the round trip of capnproto.cpp.
@0x866aa719b36d7cdf;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::bench::schema");

interface Echo {
  echo @0 (data :Data) -> (data :Data);
}
