// A function on a stack of its own that can be left in its middle and entered again, by one thread.
//
// It is entered once by ucontext; after that the two sides jump, which saves the system calls. The sanitizers follow
// neither jumps between stacks nor ucontext by themselves: under them every switch is announced, and none is a jump.
#pragma once

#include <ucontext.h>

#include <csetjmp>
#include <cstdint>
#include <memory>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WAVETILE_SANITIZED_FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WAVETILE_SANITIZED_FIBERS 1
#endif
#endif
#ifdef WAVETILE_SANITIZED_FIBERS
#include <sanitizer/common_interface_defs.h>
extern "C" {
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
__attribute__((weak)) void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, size_t size);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old,
                                                           size_t* size_old);
}
#endif

namespace wavetile {

class Fiber {
 public:
  /// `body(argument)` runs from the first enter() on; it must never return, but leave() for good.
  Fiber(void (*body)(void*), void* argument)
      : body_(body), argument_(argument), stack_(std::make_unique_for_overwrite<char[]>(kStackBytes)) {}
  Fiber(const Fiber&) = delete;

#ifdef WAVETILE_SANITIZED_FIBERS
  ~Fiber() {
    if (tsan_inside_) __tsan_destroy_fiber(tsan_inside_);
  }
  void enter() {
    void* fake = nullptr;
    if (__tsan_get_current_fiber) {
      tsan_outside_ = __tsan_get_current_fiber();
      if (!tsan_inside_) tsan_inside_ = __tsan_create_fiber(0);
    }
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&fake, stack_.get(), kStackBytes);
    if (!started_) begin();
    if (tsan_inside_) __tsan_switch_to_fiber(tsan_inside_, 0);
    swapcontext(&outside_, &inside_);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
  }
  void leave() {
    void* fake = nullptr;
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&fake, outside_bottom_, outside_bytes_);
    if (tsan_inside_) __tsan_switch_to_fiber(tsan_outside_, 0);
    swapcontext(&inside_, &outside_);
    arrived(fake);
  }

 private:
  void arrived(void* fake) {
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake, &outside_bottom_, &outside_bytes_);
  }
  const void* outside_bottom_ = nullptr;
  size_t outside_bytes_ = 0;
  void *tsan_inside_ = nullptr, *tsan_outside_ = nullptr;
#else
  void enter() {
    if (_setjmp(outside_jump_) != 0) return;
    if (started_) _longjmp(inside_jump_, 1);
    begin();
    swapcontext(&outside_, &inside_);
  }
  void leave() {
    if (_setjmp(inside_jump_) == 0) _longjmp(outside_jump_, 1);
  }

 private:
  void arrived(void*) {}
  jmp_buf inside_jump_, outside_jump_;
#endif

  static constexpr size_t kStackBytes = 256 << 10;

  void begin() {
    started_ = true;
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_.get();
    inside_.uc_stack.ss_size = kStackBytes;
    inside_.uc_link = nullptr;
    const auto address = reinterpret_cast<uintptr_t>(this);
    makecontext(&inside_, reinterpret_cast<void (*)()>(main), 2, static_cast<unsigned>(address >> 32),
                static_cast<unsigned>(address));
  }
  static void main(unsigned high, unsigned low) {  // makecontext passes ints only
    auto* f = reinterpret_cast<Fiber*>(static_cast<uintptr_t>(high) << 32 | low);
    f->arrived(nullptr);
    f->body_(f->argument_);
  }

  void (*body_)(void*);
  void* argument_;
  std::unique_ptr<char[]> stack_;
  bool started_ = false;
  ucontext_t inside_, outside_;
};

}  // namespace wavetile
