"""Worker threads of the process, which share the long statements of a run with the calling thread.

They are a small library of its own in C. A worker that is late, because it slept or another process has its core, is
not waited for: the calling thread takes all parts that no worker has begun. One run at a time has workers; another one,
called from another thread meanwhile, uses its own thread only.
"""

import ctypes
from functools import cache

from funcnet.compiler import forks
from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import blas, toolchain

# The gate has three parts: how many workers are inside, whether it is open, and the number of the job. A worker enters
# an open gate once per job. The calling thread closes the gate at the end of its own work, and replaces the job when
# nobody is inside. Workers spin for about 50 microseconds before they sleep.
_TEXT = """#include <pthread.h>
#include <sched.h>
#include <signal.h>

typedef void (*Work)(void *data, long long thread);
typedef unsigned long long u64;
#define OPEN (1ULL << 16)
#define INSIDE (OPEN - 1)
#define NUMBER 17
enum { SPINS = 1000, STACK = 8 << 20 };

void (*begin_)(int);  // sets the number of threads of BLAS, in each worker
static struct { Work work; void *data; long long threads; } job;
static u64 gate;
static int busy, sleeping;
static long long workers;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static inline void pause_(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static int is_ready(u64 last) {
  const u64 now = __atomic_load_n(&gate, __ATOMIC_SEQ_CST);
  return now & OPEN && now >> NUMBER != last;
}

static int enter(u64 *last) {
  u64 now = __atomic_load_n(&gate, __ATOMIC_RELAXED);
  while (now & OPEN && now >> NUMBER != *last)
    if (__atomic_compare_exchange_n(&gate, &now, now + 1, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      *last = now >> NUMBER;
      return 1;
    }
  return 0;
}

static void sleep_(u64 last) {
  pthread_mutex_lock(&mutex);
  __atomic_fetch_add(&sleeping, 1, __ATOMIC_SEQ_CST);
  while (!is_ready(last)) pthread_cond_wait(&wake, &mutex);
  __atomic_fetch_sub(&sleeping, 1, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&mutex);
}

static void *worker(void *thread) {
  u64 last = 0;
  if (begin_) begin_(1);
  for (;;) {
    for (int i = 0; i < SPINS && !is_ready(last); ++i) pause_();
    if (enter(&last)) {
      if ((long long)thread < job.threads) job.work(job.data, (long long)thread);
      __atomic_fetch_sub(&gate, 1, __ATOMIC_RELEASE);
    } else {
      sleep_(last);
    }
  }
  return 0;
}

static void start(long long threads) {
  if (workers + 1 >= threads) return;
  sigset_t all, before;
  pthread_attr_t attributes;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for Python's threads
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK);
  for (pthread_t id; workers + 1 < threads; ++workers)
    if (pthread_create(&id, &attributes, worker, (void *)(workers + 1))) break;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, 0);
}

void kernel(Work work, void *data, long long threads) {
  if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) {
    work(data, 0);
    return;
  }
  start(threads);
  job.work = work, job.data = data, job.threads = threads;
  const u64 number = (__atomic_load_n(&gate, __ATOMIC_RELAXED) >> NUMBER) + 1;
  __atomic_store_n(&gate, number << NUMBER | OPEN, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&sleeping, __ATOMIC_SEQ_CST)) {
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&mutex);
  }
  work(data, 0);
  __atomic_fetch_and(&gate, ~OPEN, __ATOMIC_RELAXED);
  for (int i = 0; __atomic_load_n(&gate, __ATOMIC_ACQUIRE) & INSIDE; ++i) i < SPINS ? pause_() : (void)sched_yield();
  __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}
"""


def link(kernel: ctypes.CDLL, text: str) -> bool:
    """Set the pointer to the function that calls workers, if a kernel's text has it; tell whether it is set."""
    if "(*workers_)" not in text or forks.is_child or not (address := _address()):
        return False
    ctypes.c_void_p.in_dll(kernel, "workers_").value = address
    return True


@cache
def _address() -> int | None:
    """Return the address of the function that calls workers; None if the platform has no POSIX threads."""
    try:
        library = toolchain.load(_TEXT)
    except (InternalError, NoCompilerError):
        return None
    if limit := blas.limit():
        ctypes.c_void_p.in_dll(library.handle, "begin_").value = ctypes.cast(limit, ctypes.c_void_p).value
    return ctypes.cast(library.function, ctypes.c_void_p).value
