// How a function reaches another process of the same binary: as the number under which it was registered before main.
// Included by <bulkhead/pool.hpp>. Knows nothing of workers.
//
// Each callable's type has a trampoline, and each trampoline registers itself when the program starts: in the owner
// and in its workers alike, so that a number means the same in both, wherever the loader puts the program. (The idea
// is that of YGM's and Charm++'s registration; UPC++ sends offsets instead.)
#pragma once

#include <bulkhead/detail/claim_ledger.hpp>
#include <bulkhead/detail/task_body.hpp>
#include <concepts>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <typeinfo>

namespace bulkhead::detail {

// What a worker offers to a range job.
class RangeHost {
 public:
  virtual ~RangeHost() = default;
  // Of an item whose results have no place in the ledger.
  virtual void deliver(std::uint32_t item, const BodyWriter& result) = 0;
  // The exception that is being handled.
  virtual void fail(std::uint32_t item) = 0;
  // Whether the item under way was asked to stop.
  virtual bool is_stopped() = 0;
};

struct RangeCall {
  ClaimSeat& seat;
  BodyReader& body;  // the callable and the shared arguments
  RangeHost& host;
};

struct TaskFunction {
  void (*call)(BodyReader&, BodyWriter&) = nullptr;
  void (*range)(RangeCall&) = nullptr;
  const char* name = "";  // of the callable's type, mangled
};

// Threads: before main, by static initialisation. Aborts when there are 2^32 of them.
std::uint32_t register_task(const TaskFunction&);

template <class Trampoline>
inline const std::uint32_t task_number = register_task(Trampoline::function());

// The callable itself; a function pointer is none, since it is an address.
template <class F>
concept ShippableCallable = Plain<F> && !std::is_pointer_v<F>;

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<Result<T>> = true;

// What a future of R carries. A task that returns a Result fails with its error.
template <class R>
struct Unwrapped {
  using type = R;
};
template <class R>
struct Unwrapped<Result<R>> {
  using type = R;
};
template <class R>
using Value = typename Unwrapped<std::remove_cvref_t<R>>::type;

// Thrown through the user's frames, never by them: carries an Error to the wall that sends it.
struct TaskError {
  Error error;
};
// Likewise: an item that was asked to stop has come back.
struct ItemStopped {};

template <class R, class Call>
void write_result(BodyWriter& to, const Call& call) {
  if constexpr (std::is_void_v<R>) {
    call();
  } else if constexpr (is_result<std::remove_cvref_t<R>>) {
    auto result = call();
    if (!result) throw TaskError{result.error()};
    if constexpr (!std::is_void_v<Value<R>>) to.write<Value<R>>(*result);
  } else {
    to.write<std::remove_cvref_t<R>>(call());
  }
}

template <class T>
T read_or_throw(BodyReader& from) {
  auto value = from.read<T>();
  if (!value) throw TaskError{value.error()};
  return std::move(*value);
}

// One call: the callable, then its arguments.
template <class F, class... Args>
struct Call {
  static_assert(std::invocable<F&, Args&...>,
                "the callable does not take these arguments: each comes as an lvalue of its own "
                "type");
  using Return = std::invoke_result_t<F&, Args&...>;

  static void run(BodyReader& from, BodyWriter& to) {
    F function = read_or_throw<F>(from);
    std::tuple<Args...> arguments{read_or_throw<Args>(from)...};
    write_result<Return>(to, [&]() -> decltype(auto) { return std::apply(function, arguments); });
  }
  static TaskFunction function() { return {&run, nullptr, typeid(F).name()}; }
};

struct NoInput {};  // the callable takes the item's number

// A range: the callable takes an item, or its number, and what is shared by all items.
template <class F, class In, class... Shared>
struct RangeLoop {
  static constexpr bool has_input = !std::same_as<In, NoInput>;
  using Argument = std::conditional_t<has_input, In, std::uint64_t>;
  static_assert(std::invocable<F&, Argument&, Shared&...>,
                "the callable does not take these arguments: an item, or its number, and then what "
                "is shared, each as an lvalue of its own type");
  using Return = std::invoke_result_t<F&, Argument&, Shared&...>;
  using Output = Value<Return>;
  // In the ledger, a fixed place for each item; else bytes between two offsets, or a message.
  static constexpr bool input_in_place = has_input && Plain<In>;
  static constexpr bool output_in_place = !std::is_void_v<Output> && Plain<Output>;

  static Argument argument(ClaimLedger& ledger, std::uint32_t item, AttachmentSource* source) {
    if constexpr (!has_input) {
      return ledger.base + item;
    } else if constexpr (input_in_place) {
      BodyReader from({ledger.at(ledger.inputs_at) + item * sizeof(In), sizeof(In)});
      return read_or_throw<In>(from);
    } else {
      std::uint64_t ends[2];
      std::memcpy(ends, ledger.at(ledger.inputs_at) + item * sizeof ends[0], sizeof ends);
      BodyReader from({ledger.at(ends[0]), ends[1] - ends[0]}, source);
      return read_or_throw<In>(from);
    }
  }

  static void run(RangeCall& with) { run_with<output_in_place>(with); }

  template <bool in_place>
  static void run_with(RangeCall& with) {
    F function = read_or_throw<F>(with.body);
    std::tuple<Shared...> shared{read_or_throw<Shared>(with.body)...};
    ClaimLedger& ledger = with.seat.ledger();
    BodyWriter result;
    for (std::uint32_t item = 0; with.seat.take(item);) {
      try {
        Argument input = argument(ledger, item, with.body.source());
        const auto call = [&]() -> decltype(auto) {
          return std::apply(
              [&](auto&... each) -> decltype(auto) { return function(input, each...); }, shared);
        };
        if constexpr (in_place && !is_result<std::remove_cvref_t<Return>>) {
          const Output output = call();
          std::memcpy(ledger.at(ledger.outputs_at) + item * sizeof(Output), &output, sizeof output);
        } else {
          result.clear();
          write_result<Return>(result, call);
          if constexpr (in_place) {
            std::memcpy(ledger.at(ledger.outputs_at) + item * sizeof(Output), result.bytes().data(),
                        sizeof(Output));
          } else if constexpr (!std::is_void_v<Output>) {
            with.host.deliver(item, result);
          }
        }
        if (ledger.timed != 0 && with.host.is_stopped()) throw ItemStopped{};
        with.seat.mark(item, ItemMark::done);
      } catch (...) {
        with.host.fail(item);
        with.seat.mark(item, ItemMark::failed);
      }
    }
    with.seat.leave();
  }
  static TaskFunction function() { return {nullptr, &run, typeid(F).name()}; }
};

}  // namespace bulkhead::detail
